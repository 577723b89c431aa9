"""Keeping parts of a network as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

__all__ = ["freeze", "inside"]


def inside(name: str, parts: Iterable[str]) -> bool:
    """Whether a module's name is one of ``parts`` or lies within one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def freeze(model: nn.Module, trained: Iterable[Tensor], free: Iterable[str]) -> list[Any]:
    """Freeze all parameters but ``trained`` and those of modules within ``free``.

    Returns
    -------
    list
        Handles of hooks that keep batch normalisation to its stored statistics.
    """
    kept, free, hooks = {id(one) for one in trained}, tuple(free), []
    for name, module in model.named_modules():
        if inside(name, free):
            continue
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in kept:
                parameter.requires_grad_(False).grad = None
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            hooks.append(module.register_forward_pre_hook(lambda norm, args: norm.eval() and None))
    return hooks
