"""The net as settings and weights, and a net made of these again."""

import copy

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from .._devices_and_seeds import seeded
from ..student import AcceleratedDHONet, DHONet
from ..student._clip_student import ImageTower
from ..student._torch_module import Student
from ..student._unsaved_setting import LeftOut
from ._json_values import Unsaveable, describe

# Arguments of timm that say where weights come from, which the saved ones replace.
_SOURCES = ("pretrained", "checkpoint_path", "cache_dir")
# What only another class of net takes.
_OTHERS = ("accelerator", "unwrap_after_train")
_ARRAY = "array."  # before the names of arrays that are no weights


def plain_module(net):
    """Return the network of a fitted net, without what was put around it.

    Raises
    ------
    ValueError
        If accelerate's wrapping is still on.
    """
    module = getattr(net.module_, "_orig_mod", net.module_)
    if getattr(module.forward, "__func__", None) is not Student.forward:
        raise ValueError(
            "The network is still wrapped for several processes or mixed precision. Set "
            "unwrap_after_train=True on AcceleratedDHONet, or train it in full precision."
        )
    return module


def save_weights(net, arrays):
    """Return the bytes of a safetensors file with a network's weights and other arrays."""
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in plain_module(net).state_dict().items()
    }
    tensors |= {_ARRAY + name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    return save_tensors(tensors, metadata={"format": "pt"})


def read_weights(content):
    """Return the weights and the other arrays of a safetensors file."""
    tensors = load_tensors(content)
    arrays = {
        name.removeprefix(_ARRAY): tensors.pop(name).numpy()
        for name in list(tensors)
        if name.startswith(_ARRAY)
    }
    return tensors, arrays


def write_params(net, writer, place, module, backbone, modules, left_out):
    """Return the settings of a net in JSON's terms.

    Parameters
    ----------
    net : DHONet
    writer : Writer
    place : str
        Its name, for messages.
    module : object
        Its setting `module`, as the user gave it.
    backbone : torch.nn.Module
        What was made of it.
    modules : dict of str to module, class or function
        The user's own backbones, by name.
    left_out : dict
        Filled with what has no form but pickle and plays no part in prediction.

    Raises
    ------
    Unsaveable
        If the backbone cannot be made again.
    """
    if type(net) not in (DHONet, AcceleratedDHONet):
        raise Unsaveable(
            f"{place} is a {describe(type(net))}, and what a class of yours does cannot be saved "
            f"without pickle. Take DHONet, with callbacks for what happens in training"
        )
    params = {
        name: value
        for name, value in net.get_params(deep=False).items()
        # What skorch keeps for itself begins with "_".
        if name not in _OTHERS and not name.startswith("_")
    }
    written = {"module": _write_module(module, place, backbone, modules, left_out)}
    for name, value in params.items():
        if name == "module":
            continue
        where = f"{place}.{name}"
        if name == "module__checkpoint_path" and value:
            value = LeftOut(describe(value))
            left_out[where] = value.description
        try:
            written[name] = writer.write(value, where)
        except Unsaveable:
            if name.startswith("module__") and not name.endswith(_SOURCES):
                raise
            left_out[where] = describe(value)
            written[name] = {"$left_out": describe(value)}
    return written


def _write_module(module, place, backbone, modules, left_out):
    named = [name for name, value in modules.items() if value is module]
    if named:
        return {"kind": "yours", "name": named[0]}
    if module is None:
        return {"kind": "default"}
    if isinstance(module, LeftOut):
        module = backbone  # that of a loaded model, which has no other
    if isinstance(module, str):
        if ":" in module:
            raise Unsaveable(
                f"{place}.module is {module!r}, whose architecture stands in files of its own. "
                f"Pass a function that makes it as module=, and save(..., modules={{'name': it}})"
            )
        return {"kind": "timm", "name": module}
    if type(module) is ImageTower and module.recipe is not None:
        left_out[f"{place}.module"] = "the weights from which clip_student started"
        return {"kind": "clip", "recipe": module.recipe}
    if isinstance(module, type) and vars(nn).get(module.__name__) is module:
        return {"kind": "torch.nn", "name": module.__name__}
    raise Unsaveable(
        f"{place}.module is {describe(module)}, code of yours that a folder of numbers cannot "
        f"hold. Name it: save(directory, modules={{'name': {_short(module)}}}), and hand it to "
        f"load(directory, modules=...) likewise"
    )


def _short(module):
    name = getattr(module, "__name__", None)
    return name if name and name.isidentifier() else "module"


def read_params(written, reader, modules):
    """Return the settings of a net, and what its backbone is made of.

    Returns
    -------
    params : dict
    architecture : callable
        Makes the backbone, of the shape of the input, without its weights.
    """
    params = {name: reader.read(value) for name, value in written.items() if name != "module"}
    module = written["module"]
    arguments = {
        name.removeprefix("module__"): value
        for name, value in params.items()
        if name.startswith("module__")
    }
    if isinstance(params.get("module__checkpoint_path"), str):
        raise ValueError("a saved model names no other file of weights")
    kind = module["kind"]
    if kind == "yours":
        name = module["name"]
        if name not in modules:
            raise ValueError(
                f"The backbone of this model is code of its author's, which the files do not "
                f"hold. Import it and pass skactivekd.load(directory, modules={{{name!r}: ...}}): "
                f"the class, function or module that was saved under this name."
            )
        params["module"] = modules[name]
    elif kind == "clip":
        with seeded(0, torch.device("cpu")):
            tower = ImageTower.from_recipe(module["recipe"])
        params["module"] = LeftOut("the weights from which clip_student started")
        return params, (tower, {})
    elif kind == "torch.nn":
        made = vars(nn)[module["name"]]
        if not issubclass(made, nn.Module):
            raise ValueError(f"torch.nn.{module['name']} is no module")
        params["module"] = made
    elif kind == "timm":
        if ":" in module["name"]:
            raise ValueError(f"{module['name']!r} is no name of timm's")
        params["module"] = module["name"]
        arguments = {name: v for name, v in arguments.items() if name not in _SOURCES}
    elif kind == "default":
        params["module"] = None
    else:
        raise ValueError(f"there is no backbone of the kind {kind!r}")
    return params, (params["module"], arguments)


def build_net(params, architecture, weights, device):
    """Make a fitted net of its settings and weights.

    Parameters
    ----------
    params : dict
    architecture : pair of module and arguments
        From `read_params`.
    weights : dict of str to tensor
    device : torch.device

    Returns
    -------
    net : DHONet

    Raises
    ------
    ValueError
        If the weights are not those of the architecture.
    """
    module, arguments = architecture
    usable = {
        name: value
        for name, value in params.items()
        if not isinstance(value, LeftOut) and name.partition("__")[0] != "module"
    }
    usable |= {f"module__{name}": value for name, value in arguments.items()}
    net = DHONet(**{**usable, "module": module, "device": str(device)})
    # First weights are drawn, though they are replaced.
    with seeded(0, device):
        net.initialize()
    network = plain_module(net)
    _check_weights(network.state_dict(), weights)
    network.load_state_dict(weights)
    network.eval()
    # What a clone of it is to train with: as it was saved.
    for name in [name for name in vars(net) if name.startswith("module__")]:
        del vars(net)[name]
    vars(net).update({**params, "device": str(device)})
    return net


def build_unfitted(params):
    """Make the net that a clone starts from."""
    net = DHONet(**{name: v for name, v in params.items() if not isinstance(v, LeftOut)})
    vars(net).update({name: v for name, v in params.items() if isinstance(v, LeftOut)})
    return net


def _check_weights(expected, weights):
    if expected.keys() != weights.keys():
        odd = sorted(expected.keys() ^ weights.keys())
        raise ValueError(
            f"the weights are not those of the backbone: {', '.join(odd[:5])} "
            f"{'is' if len(odd) == 1 else 'are'} on one side only"
        )
    for name, value in expected.items():
        found = weights[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ValueError(
                f"the weights are not those of the backbone: {name} is {found.dtype} of shape "
                f"{tuple(found.shape)}, not {value.dtype} of shape {tuple(value.shape)}"
            )


def same_outputs(net, twin):
    """Tell whether two nets give the same outputs on a few rows, to the bit on the CPU."""
    shape = net.input_shape
    # From 0 to 1: pixels, and codes that are all the first one.
    rows = np.random.RandomState(0).random_sample((3, *shape)).astype(np.float32)
    pairs = zip(net.forward_embed(rows), twin.forward_embed(rows), strict=True)
    exact = str(net.device) == "cpu" == str(twin.device)
    return all(
        torch.equal(one, other) if exact else torch.allclose(one, other, rtol=1e-3, atol=1e-4)
        for one, other in pairs
    )


def cpu_copy(net):
    """Return a copy of a net's network on the CPU, ready to predict."""
    return copy.deepcopy(plain_module(net)).cpu().eval()
