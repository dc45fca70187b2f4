"""What a TorchScript file would do, read before it is loaded.

Weights are numbers; TorchScript is a program. It knows no Python, but torch's operators reach files (``from_file``
makes or changes one of any name) and other processes. So its code, which the file carries as text, is read first: it
may call tensor arithmetic that is listed here, functions of its own, and nothing else. What was read is what is loaded:
the entries are packed anew, so that no second reading of a strange archive finds other ones.
"""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rendering.engine.errors import EngineError

MOST_BYTES, MOST_CODE = 2 << 30, 16 << 20
_ARITHMETIC = """
    abs adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d add add_ addcdiv addcmul
    addmm all amax amin __and__ any append arange argmax argmin argsort as_tensor atan avg_pool2d baddbmm batch_norm
    bitwise_and bitwise_not bitwise_or bmm broadcast_tensors cat cdist ceil celu chunk clamp clamp_ clamp_max
    clamp_min clone constant_pad_nd __contains__ contiguous conv1d conv2d conv_transpose2d _convolution copy_ cos
    cumsum __derive_index detach device dim div div_ dropout dropout_ einsum elu embedding empty empty_like eq erf
    exp expand expand_as extend fill_ flatten flip float floor floor_divide floordiv format full full_like gather ge
    gelu __getitem__ glu grid_sampler group_norm gt hardsigmoid hardswish hardtanh index index_select insert
    instance_norm int __is__ is_autocast_enabled is_floating_point is_grad_enabled isfinite isnan __isnot__ item
    layer_norm le leaky_relu leaky_relu_ len lerp linear linspace list log log1p log_softmax logical_and logical_not
    logical_or logsumexp lt masked_fill masked_fill_ matmul max max_pool2d maximum mean meshgrid min minimum mm mul
    mul_ narrow _native_multi_head_attention ne neg new_zeros norm __not__ numel ones ones_like __or__ pad permute
    pixel_shuffle pixel_unshuffle pow prelu __range_length reciprocal reflection_pad2d relu relu_ relu6 remainder
    repeat repeat_interleave replication_pad2d reshape roll rsqrt rsub scalar_tensor scaled_dot_product_attention
    select selu sigmoid sigmoid_ sign silu silu_ sin size slice softmax softplus sort split split_with_sizes sqrt
    square squeeze stack std std_mean sub sub_ sum tanh tanh_ tensor tile to topk transpose tril triu type_as unbind
    unflatten unfold unsqueeze _unwrap_optional upsample_bicubic2d _upsample_bicubic2d_aa upsample_bilinear2d
    _upsample_bilinear2d_aa _upsample_lanczos2d_aa upsample_linear1d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    upsample_trilinear3d var var_mean view view_as warn where zeros zeros_like
"""
ARITHMETIC = frozenset(_ARITHMETIC.split())
"""Operators that turn tensors into tensors and touch nothing else."""
_PRIMITIVES = """
    NumToTensor RaiseException TupleUnpack data device dtype is_cuda is_nested layout max min requires_grad shape type
"""
PRIMITIVES = frozenset(_PRIMITIVES.split())
_WORDS = """
    abs annotate bool enumerate float getattr int isinstance len list max min range str tuple unchecked_cast
    uninitialized zip
"""
WORDS = frozenset(_WORDS.split())
"""What the language itself knows."""
OUTSIDE = frozenset({"from_file", "save", "load", "open", "exec", "eval", "fork", "wait"})
"""Names that nothing in such a file may bear, not even a function of its own."""


def screened(path: Path) -> io.BytesIO:
    """The archive at ``path``, found harmless, ready to be loaded. Raises ``bad_enhancer`` or ``unsafe_enhancer``."""
    if path.stat().st_size > MOST_BYTES:
        raise EngineError("bad_enhancer", f"{path.stat().st_size} bytes")
    try:
        with zipfile.ZipFile(path) as archive:
            return _screened(archive)
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, SyntaxError, RecursionError, NotImplementedError) as error:
        raise EngineError("bad_enhancer", f"{type(error).__name__}: {error}"[:300]) from error


def _screened(archive: zipfile.ZipFile) -> io.BytesIO:
    names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    inner = {name.partition("/")[2] for name in names}
    if len(set(names)) < len(names) or len(tops) != 1 or "data.pkl" not in inner or "constants.pkl" not in inner:
        raise EngineError("bad_enhancer", "no TorchScript archive")
    if odd := [name for name in inner if name == "model.json" or name.startswith(("bytecode", "extra/"))]:
        raise EngineError("bad_enhancer", f"{odd[0]}: a form of TorchScript that is not read")
    if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
        raise EngineError("bad_enhancer", "larger unpacked than it may be")
    code = [name for name in names if name.partition("/")[2].startswith("code/") and name.endswith(".py")]
    if sum(archive.getinfo(name).file_size for name in code) > MOST_CODE:
        raise EngineError("bad_enhancer", "too much code")
    trees = [ast.parse(archive.read(name).decode()) for name in code]
    own = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    own |= {name for tree in trees for name in _renamed(tree)}
    for tree in trees:
        for what in _foreign(tree, own):
            raise EngineError("unsafe_enhancer", f"its code asks for {what}"[:200])
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as packed:
        for name in names:
            if not name.endswith(".debug_pkl"):
                packed.writestr(zipfile.ZipInfo(name), archive.read(name))
    result.seek(0)
    return result


def _foreign(tree: ast.AST, own: set[str]) -> Iterator[str]:
    """What the code names that is neither arithmetic nor its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            if node.attr in OUTSIDE or not _is_known(chain):
                yield ".".join(chain) or node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in OUTSIDE:
            yield node.name
        elif isinstance(node, ast.Name) and node.id in OUTSIDE:
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Lambda | ast.AsyncFunctionDef | ast.With):
            yield type(node).__name__.lower()
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id not in WORDS | own:
                yield called.id
            elif isinstance(called, ast.Attribute) and not _may_call(called, own):
                yield ".".join(_chain(called)) or called.attr


def _renamed(tree: ast.AST) -> Iterator[str]:
    """Names that the code gives to functions of its own: ``_0 = __torch__.torch.nn.functional.relu``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _chain(node.value)[:1] == ["__torch__"]:
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _chain(node: ast.expr) -> list[str]:
    """``a.b.c`` as its names; empty where it begins with something else than a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _is_known(chain: list[str]) -> bool:
    """Whether a chain of names leads nowhere but to arithmetic, the file's own parts and values."""
    if chain[:1] == ["torch"]:
        return len(chain) == 2 and chain[1] in ARITHMETIC
    if chain[:1] == ["ops"]:
        return len(chain) <= 2 or (len(chain) == 3 and chain[1] == "prim" and chain[2] in PRIMITIVES)
    return True


def _may_call(called: ast.Attribute, own: set[str]) -> bool:
    chain = _chain(called)
    if chain[:1] in (["torch"], ["ops"]):
        return _is_known(chain)
    return chain[:1] == ["__torch__"] or called.attr in own | ARITHMETIC | {"forward"}
