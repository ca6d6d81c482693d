def write_report(plan): return plan.output
