"""The Gradio app: layout, control of a run, the player component, the panels."""
