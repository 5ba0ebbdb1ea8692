"""The OpenFX C interface as ctypes sees it, written from the public specification.

Variadic functions stand here with a fixed number of arguments. On x86-64 (System V) and AArch64
(but not Apple's) a variadic call passes its arguments in the same registers, so the callback finds
those that were passed, and garbage in the rest, which the host never looks at.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int, c_size_t, c_void_p
from enum import IntEnum


class Status(IntEnum):
    OK = 0
    FAILED = 1
    FATAL = 2
    UNKNOWN = 3
    MISSING_HOST_FEATURE = 4
    UNSUPPORTED = 5
    EXISTS = 6
    FORMAT = 7
    MEMORY = 8
    BAD_HANDLE = 9
    BAD_INDEX = 10
    VALUE = 11
    REPLY_YES = 12
    REPLY_NO = 13
    REPLY_DEFAULT = 14


class RectD(Structure):
    _fields_ = (("x1", c_double), ("y1", c_double), ("x2", c_double), ("y2", c_double))


FETCH_SUITE = CFUNCTYPE(c_void_p, c_void_p, c_char_p, c_int)


class OfxHost(Structure):
    _fields_ = (("host", c_void_p), ("fetchSuite", FETCH_SUITE))


SET_HOST = CFUNCTYPE(None, POINTER(OfxHost))
MAIN_ENTRY = CFUNCTYPE(c_int, c_char_p, c_void_p, c_void_p, c_void_p)


class OfxPlugin(Structure):
    _fields_ = (
        ("pluginApi", c_char_p),
        ("apiVersion", c_int),
        ("pluginIdentifier", c_char_p),
        ("pluginVersionMajor", ctypes.c_uint),
        ("pluginVersionMinor", ctypes.c_uint),
        ("setHost", SET_HOST),
        ("mainEntry", MAIN_ENTRY),
    )


P, S, D, I, Z = c_void_p, c_char_p, c_double, c_int, c_size_t  # noqa: E741
L = ctypes.c_int64

# The members of each suite in the order of the standard: name, result, arguments.
SUITES: dict[tuple[str, int], tuple[tuple[str, type | None, tuple[type, ...]], ...]] = {
    ("OfxPropertySuite", 1): (
        ("propSetPointer", I, (P, S, I, P)),
        ("propSetString", I, (P, S, I, S)),
        ("propSetDouble", I, (P, S, I, D)),
        ("propSetInt", I, (P, S, I, I)),
        ("propSetPointerN", I, (P, S, I, P)),
        ("propSetStringN", I, (P, S, I, P)),
        ("propSetDoubleN", I, (P, S, I, P)),
        ("propSetIntN", I, (P, S, I, P)),
        ("propGetPointer", I, (P, S, I, P)),
        ("propGetString", I, (P, S, I, P)),
        ("propGetDouble", I, (P, S, I, P)),
        ("propGetInt", I, (P, S, I, P)),
        ("propGetPointerN", I, (P, S, I, P)),
        ("propGetStringN", I, (P, S, I, P)),
        ("propGetDoubleN", I, (P, S, I, P)),
        ("propGetIntN", I, (P, S, I, P)),
        ("propReset", I, (P, S)),
        ("propGetDimension", I, (P, S, P)),
    ),
    ("OfxImageEffectSuite", 1): (
        ("getPropertySet", I, (P, P)),
        ("getParamSet", I, (P, P)),
        ("clipDefine", I, (P, S, P)),
        ("clipGetHandle", I, (P, S, P, P)),
        ("clipGetPropertySet", I, (P, P)),
        ("clipGetImage", I, (P, D, P, P)),
        ("clipReleaseImage", I, (P,)),
        ("clipGetRegionOfDefinition", I, (P, D, P)),
        ("abort", I, (P,)),
        ("imageMemoryAlloc", I, (P, Z, P)),
        ("imageMemoryFree", I, (P,)),
        ("imageMemoryLock", I, (P, P)),
        ("imageMemoryUnlock", I, (P,)),
    ),
    ("OfxParameterSuite", 1): (
        ("paramDefine", I, (P, S, S, P)),
        ("paramGetHandle", I, (P, S, P, P)),
        ("paramSetGetPropertySet", I, (P, P)),
        ("paramGetPropertySet", I, (P, P)),
        ("paramGetValue", I, (P, P, P, P, P)),
        ("paramGetValueAtTime", I, (P, D, P, P, P, P)),
        ("paramGetDerivative", I, (P, D, P, P, P, P)),
        ("paramGetIntegral", I, (P, D, D, P, P, P, P)),
        ("paramSetValue", I, (P, L, L, L, L, D, D, D, D)),
        ("paramSetValueAtTime", I, (P, D, L, L, L, L, D, D, D, D)),
        ("paramGetNumKeys", I, (P, P)),
        ("paramGetKeyTime", I, (P, ctypes.c_uint, P)),
        ("paramGetKeyIndex", I, (P, D, I, P)),
        ("paramDeleteKey", I, (P, D)),
        ("paramDeleteAllKeys", I, (P,)),
        ("paramCopy", I, (P, P, D, P)),
        ("paramEditBegin", I, (P, S)),
        ("paramEditEnd", I, (P,)),
    ),
    ("OfxMessageSuite", 1): (("message", I, (P, S, S, S, P)),),
    ("OfxMessageSuite", 2): (
        ("message", I, (P, S, S, S, P)),
        ("setPersistentMessage", I, (P, S, S, S, P)),
        ("clearPersistentMessage", I, (P,)),
    ),
    ("OfxProgressSuite", 1): (
        ("progressStart", I, (P, S)),
        ("progressUpdate", I, (P, D)),
        ("progressEnd", I, (P,)),
    ),
    ("OfxProgressSuite", 2): (
        ("progressStart", I, (P, S, S)),
        ("progressUpdate", I, (P, D)),
        ("progressEnd", I, (P,)),
    ),
    ("OfxMemorySuite", 1): (
        ("memoryAlloc", I, (P, Z, P)),
        ("memoryFree", I, (P,)),
    ),
    ("OfxMultiThreadSuite", 1): (
        ("multiThread", I, (P, ctypes.c_uint, P)),
        ("multiThreadNumCPUs", I, (P,)),
        ("multiThreadIndex", I, (P,)),
        ("multiThreadIsSpawnedThread", I, ()),
        ("mutexCreate", I, (P, I)),
        ("mutexDestroy", I, (P,)),
        ("mutexLock", I, (P,)),
        ("mutexUnLock", I, (P,)),
        ("mutexTryLock", I, (P,)),
    ),
    ("OfxTimeLineSuite", 1): (
        ("getTime", I, (P, P)),
        ("gotoTime", I, (P, D)),
        ("getTimeBounds", I, (P, P, P)),
    ),
}

THREAD_FUNCTION = CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, c_void_p)


def suite_type(name: str, version: int) -> type[Structure]:
    """Return the C structure of a suite."""
    members = [
        (member, CFUNCTYPE(result, *taken)) for member, result, taken in SUITES[name, version]
    ]
    return type(f"{name}V{version}", (Structure,), {"_fields_": members})
