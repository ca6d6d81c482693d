import re

import torch
from conftest import small_pipeline, small_transformer

from deepforcing.models.fingerprint import fingerprint
from deepforcing.models.placement import place_weights


def test_a_fingerprint_names_weights_in_whichever_precision_they_come():
    model = small_transformer().to(torch.bfloat16)
    made = fingerprint(model)
    assert re.fullmatch(r"[0-9a-f]{16}", made) and fingerprint(small_transformer()) == fingerprint(small_transformer())
    assert fingerprint(model.float()) == made


def test_one_other_weight_is_another_model():
    model = small_transformer()
    before = fingerprint(model)
    with torch.no_grad():
        model.proj_out.bias[0] += 1
    assert fingerprint(model) != before and fingerprint(small_transformer(layers=3)) != before


def test_a_pipeline_keeps_the_fingerprint_of_weights_that_are_stored_in_fewer_bits():
    pipeline = small_pipeline()
    before = pipeline.weights
    place_weights(pipeline.denoiser, "fp8", torch.device("cpu"))
    assert pipeline.weights == before != fingerprint(pipeline.denoiser.transformer)
