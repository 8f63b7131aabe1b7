"""A researcher's own network: the contract is checked, and each breach is named."""

import pytest
import torch

from fedpet.errors import UpdateError
from fedpet.models.code_report import report_of
from fedpet.models.own import Shape, execute
from fedpet.plan import Model

SHAPE = Shape(image=(2, 32, 16), covariates=3, outputs={"pfs": 8, "response": 1})
HEAD = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, image_shape, covariates, outputs):
        super().__init__()
        self.heads = nn.ModuleDict({n: nn.Linear(covariates, k) for n, k in outputs.items()})
        self.sizes = outputs
"""
FORWARD = """
    def forward(self, images, covariates):
        return {n: head(covariates) for n, head in self.heads.items()}
"""


def built(source: str) -> torch.nn.Module:
    return execute(Model(code="model.py:Net", source=source), SHAPE)


def answered(source: str) -> dict[str, torch.Tensor]:
    return built(source)(torch.zeros(4, 2, 32, 16), torch.zeros(4, 3))


def test_a_plain_module_is_all_that_is_needed():
    """No base class, no registration, no decorator."""
    assert answered(HEAD + FORWARD)["pfs"].shape == (4, 8)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("        self.norm = nn.BatchNorm2d(4)", "running statistics"),
        ("        self.loss = nn.Linear(2, 2)", "may not be named"),
        ("        self.heads['os'] = nn.Linear(2, 2)", "head of no endpoint"),
        ("        self.extra = nn.Parameter(torch.zeros(2, dtype=torch.float64))", "float64"),
    ],
)
def test_what_cannot_be_averaged_over_hospitals_is_named(extra, named):
    """The author reads it on the first try, not after a night of rounds."""
    with pytest.raises(UpdateError, match=named):
        built(f"{HEAD}{extra}\n{FORWARD}")


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("covariates", "dictionary"),
        ("{'pfs': self.heads['pfs'](covariates)}", "no other"),
        ("{n: h(covariates)[:, :1] for n, h in self.heads.items()}", "expected"),
        ("{n: h(covariates)[:2] for n, h in self.heads.items()}", "expected"),
        ("{n: h(covariates) > 0 for n, h in self.heads.items()}", "bool"),
        ("{n: 1.0 for n in self.sizes}", "float"),
    ],
)
def test_an_answer_of_another_shape_names_the_endpoint(answer, named):
    """Logits that broadcast by chance would train something that nobody meant."""
    with pytest.raises(UpdateError, match=named) as told:
        answered(f"{HEAD}\n    def forward(self, images, covariates):\n        return {answer}\n")
    assert told.value.code == "FP-7013"


@pytest.mark.parametrize("source", ["Net = 1", "def Net(**k): return 1", "x = 1"])
def test_a_file_without_the_class_is_refused(source):
    """The plan names the class; what it names must be a module."""
    with pytest.raises(UpdateError, match="no class Net"):
        built(source)


def test_the_report_names_what_a_reader_should_look_at():
    """Imports beyond the usual, calls that touch files or the system, names between underscores."""
    report = report_of(
        "import os.path, torch\nfrom socket import create_connection\n"
        "def f(x):\n    return open(x).read(), eval(x), x.__class__, x.connect()\n"
    )
    assert report.imports == ("os.path", "socket", "torch")
    assert report.unusual == ("os.path", "socket")
    assert report.calls == ("connect (line 4)", "eval (line 4)", "open (line 4)")
    assert report.hidden == ("__class__ (line 4)",)
    assert report_of("def f(:\n").mistake.startswith("line 1")
    assert not report_of(HEAD + FORWARD).unusual
