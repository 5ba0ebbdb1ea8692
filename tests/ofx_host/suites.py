"""The suites that a plug-in fetches, each call checked."""

from __future__ import annotations

import ctypes
import re
import threading
import traceback
from ctypes import c_char_p, c_double, c_int, c_uint, c_void_p
from typing import TYPE_CHECKING, Any

from .abi import SUITES, THREAD_FUNCTION, RectD, Status, suite_type
from .objects import (
    NUMBERS,
    Clip,
    ClipDescriptor,
    Descriptor,
    Effect,
    HeldImage,
    Memory,
    Mutex,
    Param,
    ParamDescriptor,
    ParamSet,
    Properties,
)
from .record import Action
from .standard import CLIP_DESCRIPTOR, ON_RENDER_THREADS, PARAM

if TYPE_CHECKING:
    from .host import Host

OK = Status.OK
_RENDER = "OfxImageEffectActionRender"
_MAY_SET = frozenset(
    f"OfxAction{name}"
    for name in (
        "InstanceChanged",
        "BeginInstanceChanged",
        "EndInstanceChanged",
        "BeginInstanceEdit",
        "EndInstanceEdit",
    )
)
_KINDS = {"Pointer": "p", "String": "s", "Double": "d", "Int": "i"}
_CELLS = {"p": c_void_p, "s": c_void_p, "d": c_double, "i": c_int}


def _cell(kind: str, address: int, index: int = 0) -> Any:
    cell = _CELLS[kind]
    return cell.from_address(address + index * ctypes.sizeof(cell))


class Suites:
    """The C tables of one host; kept alive as long as it is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._record = host.record
        self._tokens = host.tokens
        self._tables: dict[tuple[str, int], ctypes.Structure] = {}
        self._local = threading.local()

    def fetch(self, name: str, version: int) -> int | None:
        """Return the address of a table, or None where this host has none of that name."""
        key = (name, version)
        if key not in self._host.face.suites:
            return None
        if key not in self._tables:
            table = suite_type(name, version)()
            for member, _, _ in SUITES[key]:
                kind = dict(table._fields_)[member]
                setattr(table, member, kind(self._guarded(member, name)))
            if key == ("OfxMessageSuite", 2) and self._host.face.torn_message_suite:
                table.setPersistentMessage = type(table.setPersistentMessage)()
                pointer = c_void_p.from_buffer(table, type(table).clearPersistentMessage.offset)
                pointer.value = 0x5EB1_DEAD_0000_0001
            self._tables[key] = table
        return ctypes.addressof(self._tables[key])

    def _guarded(self, member: str, suite: str) -> Any:
        own = {"message": "_message"}.get(member, member)
        method = getattr(self, own, None) or self._property_call(member)

        def call(*arguments: Any) -> int:
            action = self._record.action
            if action is None:
                self._record.violation(f"{suite}.{member} was called by a thread of the plug-in")
            else:
                action.calls[member] = action.calls.get(member, 0) + 1
            self._poison()
            try:
                return int(method(*arguments))
            except Exception:  # noqa: BLE001 - a callback has nobody above it to raise to
                self._record.violation(f"{suite}.{member}: {traceback.format_exc()}")
                return Status.FAILED

        return call

    # Strings belong to the host and hold until the next call: then they are overwritten.
    def _lend(self, text: str) -> int:
        if not hasattr(self._local, "lent"):
            self._local.lent, self._local.fresh = [], []
        buffer = ctypes.create_string_buffer(text.encode())
        self._local.lent.append(buffer)
        self._local.fresh.append(buffer)
        return ctypes.addressof(buffer)

    def _poison(self) -> None:
        fresh = getattr(self._local, "fresh", None)
        if fresh:
            for buffer in fresh:
                ctypes.memset(buffer, ord("?"), len(buffer) - 1)
            fresh.clear()
            if len(self._local.lent) > 8192:
                del self._local.lent[:4096]

    def _out(self, kind: str, address: int | None, value: Any, index: int = 0) -> Status:
        if not address:
            self._record.violation("NULL where a result was to be written")
            return Status.VALUE
        if kind == "s":
            value = self._lend(value)
        _cell(kind, address, index).value = value
        return OK

    # ---- OfxPropertySuite ------------------------------------------------------------------

    def _properties(self, token: int | None) -> Any:
        held = self._tokens.find(token, (Properties, HeldImage))
        return held.set if held else None

    def _property_call(self, member: str) -> Any:
        match = re.fullmatch(r"prop(Get|Set)(Pointer|String|Double|Int)(N?)", member)
        assert match, member
        kind, several = _KINDS[match[2]], bool(match[3])
        if match[1] == "Set":

            def put(token: int, name: bytes, index: int, value: Any) -> int:
                if several:
                    for each in range(index):
                        cell = _cell(kind, value, each).value
                        if kind == "s":
                            cell = c_char_p(cell).value
                        status = self._set(token, name, kind, each, cell)
                        if status != OK:
                            return status
                    return OK
                return self._set(token, name, kind, index, value)

            return put

        def get(token: int, name: bytes, index: int, address: int) -> int:
            indices = range(index) if several else (index,)
            for position, each in enumerate(indices):
                values = self._properties(token)
                if values is None:
                    return Status.BAD_HANDLE
                status, value = values.plugin_gets(name.decode(), kind, each)
                if status == OK:
                    status = self._out(kind, address, value, position)
                if status != OK:
                    return status
            return OK

        return get

    def _set(self, token: int, name: bytes, kind: str, index: int, value: Any) -> int:
        values = self._properties(token)
        if values is None:
            return Status.BAD_HANDLE
        action = self._record.action
        if action and action.name in ON_RENDER_THREADS and values not in self._host.outgoing():
            self._record.violation(f"{name!r} was written while rendering")
        return values.plugin_sets(name.decode(), kind, index, value)

    def propReset(self, token: int, name: bytes) -> int:
        values = self._properties(token)
        return Status.BAD_HANDLE if values is None else values.reset(name.decode())

    def propGetDimension(self, token: int, name: bytes, address: int) -> int:
        values = self._properties(token)
        if values is None:
            return Status.BAD_HANDLE
        status, count = values.dimension(name.decode())
        return status if status != OK else self._out("i", address, count)

    # ---- OfxImageEffectSuite ---------------------------------------------------------------

    def getPropertySet(self, token: int, address: int) -> int:
        effect = self._tokens.find(token, (Descriptor, Effect))
        return self._out("p", address, effect.props.token) if effect else Status.BAD_HANDLE

    def getParamSet(self, token: int, address: int) -> int:
        effect = self._tokens.find(token, (Descriptor, Effect))
        if effect and isinstance(effect, Descriptor) and not effect.context:
            self._record.violation("getParamSet before describeInContext")
        return self._out("p", address, effect.params.token) if effect else Status.BAD_HANDLE

    def clipDefine(self, token: int, name: bytes, address: int | None) -> int:
        effect = self._tokens.find(token, Descriptor)
        if effect is None:
            return Status.BAD_HANDLE
        text = name.decode()
        if not effect.context:
            self._record.violation(f"clip {text} is defined outside describeInContext")
        if text in effect.clips:
            self._record.violation(f"clip {text} is defined twice")
            return Status.EXISTS
        values = {
            "OfxPropType": "OfxTypeClip",
            "OfxPropName": text,
            "OfxPropLabel": text,
            "OfxImageEffectPropSupportsTiles": 1,
            "OfxImageClipPropFieldExtraction": "OfxImageFieldDoubled",
        }
        props = Properties(
            self._host, self._host.property_set(f"clip {text}", CLIP_DESCRIPTOR, values)
        )
        effect.clips[text] = ClipDescriptor(self._host, text, props)
        return self._out("p", address, props.token) if address else OK

    def clipGetHandle(self, token: int, name: bytes, address: int, props: int | None) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        clip = effect.clips.get(name.decode())
        if clip is None:
            return Status.UNKNOWN
        if props:
            self._out("p", props, clip.props.token)
        return self._out("p", address, clip.token)

    def clipGetPropertySet(self, token: int, address: int) -> int:
        clip = self._tokens.find(token, (Clip, ClipDescriptor))
        return self._out("p", address, clip.props.token) if clip else Status.BAD_HANDLE

    def clipGetImage(self, token: int, time: float, region: int | None, address: int) -> int:
        clip = self._tokens.find(token, Clip)
        if clip is None:
            return Status.BAD_HANDLE
        action = self._record.action
        if action is None or action.name not in (_RENDER, "OfxActionInstanceChanged"):
            self._record.violation("clipGetImage outside render and instanceChanged")
            return Status.FAILED
        effect = action.instance
        if clip not in effect.clips.values():
            self._record.violation("clipGetImage of another instance's clip")
            return Status.BAD_HANDLE
        if action.name == _RENDER and time != action.time:
            self._record.violation(f"clipGetImage at time {time}, rendered is {action.time}")
        if region:
            self._record.violation("clipGetImage with a region, by a plug-in without tiles")
        return self._host.give_image(effect, clip, time, address)

    def clipReleaseImage(self, token: int) -> int:
        held = self._tokens.find(token, HeldImage)
        if held is None:
            return Status.BAD_HANDLE
        held.effect.held.discard(held)
        held.die()
        held.image.let_go()
        return OK

    def clipGetRegionOfDefinition(self, token: int, time: float, address: int) -> int:
        clip = self._tokens.find(token, Clip)
        if clip is None or not address:
            return Status.BAD_HANDLE
        region = self._host.region(clip, time)
        if region is None:
            return Status.FAILED
        out = RectD.from_address(address)
        out.x1, out.y1, out.x2, out.y2 = region.x1, region.y1, region.x2, region.y2
        return OK

    def abort(self, token: int) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return 0
        effect.polls += 1
        return int(effect.abort(effect.polls))

    def imageMemoryAlloc(self, token: int | None, size: int, address: int) -> int:
        block = Memory(ctypes.create_string_buffer(size))
        return self._out("p", address, self._tokens.give(block))

    def imageMemoryFree(self, token: int) -> int:
        if self._tokens.find(token, Memory) is None:
            return Status.BAD_HANDLE
        self._tokens.kill(token)
        return OK

    def imageMemoryLock(self, token: int, address: int) -> int:
        block = self._tokens.find(token, Memory)
        if block is None:
            return Status.BAD_HANDLE
        block.locked += 1
        return self._out("p", address, ctypes.addressof(block.buffer))

    def imageMemoryUnlock(self, token: int) -> int:
        block = self._tokens.find(token, Memory)
        if block is None:
            return Status.BAD_HANDLE
        block.locked -= 1
        if block.locked < 0:
            self._record.violation("image memory unlocked more often than locked")
        return OK

    # ---- OfxParameterSuite -----------------------------------------------------------------

    def paramDefine(self, token: int, kind: bytes, name: bytes, address: int | None) -> int:
        params = self._tokens.find(token, ParamSet)
        if params is None:
            return Status.BAD_HANDLE
        type_, text = kind.decode(), name.decode()
        if not params.describing:
            self._record.violation(f"parameter {text} is defined outside describeInContext")
            return Status.BAD_HANDLE
        if text in params.params:
            self._record.violation(f"parameter {text} is defined twice")
            return Status.EXISTS
        if type_ not in PARAM:
            self._record.violation(f"parameter {text} is of type {type_}, which breaks hosts")
            return Status.UNKNOWN
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            self._record.violation(f"parameter name {text!r} is no identifier")
        param = ParamDescriptor(self._host, type_, text)
        params.params[text] = param
        return self._out("p", address, param.props.token) if address else OK

    def paramGetHandle(self, token: int, name: bytes, address: int, props: int | None) -> int:
        params = self._tokens.find(token, ParamSet)
        if params is None:
            return Status.BAD_HANDLE
        if params.describing:
            self._record.violation("paramGetHandle on a descriptor")
            return Status.BAD_HANDLE
        param = params.params.get(name.decode())
        if param is None:
            self._record.violation(f"no parameter {name!r} was defined")
            return Status.UNKNOWN
        if props:
            self._out("p", props, param.props.token)
        return self._out("p", address, param.token)

    def paramSetGetPropertySet(self, token: int, address: int) -> int:
        params = self._tokens.find(token, ParamSet)
        return self._out("p", address, params.props.token) if params else Status.BAD_HANDLE

    def paramGetPropertySet(self, token: int, address: int) -> int:
        param = self._tokens.find(token, (Param, ParamDescriptor))
        return self._out("p", address, param.props.token) if param else Status.BAD_HANDLE

    def _values(self, param: Param, values: list[Any], addresses: tuple[Any, ...]) -> int:
        if param.type not in NUMBERS:
            self._record.violation(f"{param.name} has no value")
            return Status.UNSUPPORTED
        kind, count = NUMBERS[param.type]
        for value, address in zip(values[:count], addresses, strict=False):
            status = self._out(kind, address, value)
            if status != OK:
                return status
        return OK

    def paramGetValue(self, token: int, *addresses: Any) -> int:
        param = self._tokens.find(token, Param)
        if param is None:
            return Status.BAD_HANDLE
        action = self._record.action
        if action and action.name in ON_RENDER_THREADS:
            self._record.violation(f"paramGetValue of {param.name} in a render action, not AtTime")
        time = action.time if action and action.time is not None else 0.0
        return self._values(param, param.at(time), addresses)

    def paramGetValueAtTime(self, token: int, time: float, *addresses: Any) -> int:
        param = self._tokens.find(token, Param)
        if param is None:
            return Status.BAD_HANDLE
        action = self._record.action
        if action and action.name == _RENDER and time != action.time:
            self._record.violation(f"{param.name} is read at {time}, rendered is {action.time}")
        return self._values(param, param.at(time), addresses)

    def paramGetDerivative(self, token: int, time: float, *addresses: Any) -> int:
        self._tokens.find(token, Param)
        return Status.UNSUPPORTED

    def paramGetIntegral(self, token: int, start: float, end: float, *addresses: Any) -> int:
        self._tokens.find(token, Param)
        return Status.UNSUPPORTED

    def _put(self, token: int, whole: tuple[int, ...], real: tuple[float, ...]) -> int:
        param = self._tokens.find(token, Param)
        if param is None:
            return Status.BAD_HANDLE
        action = self._record.action
        if action is None or action.name not in _MAY_SET:
            self._record.violation(f"{param.name} was set in this action")
            return Status.FAILED
        kind, count = NUMBERS.get(param.type, ("", 0))
        if kind == "s":
            param.value = [(c_char_p(whole[0]).value or b"").decode()]
        elif kind == "i":
            param.value = [c_int(value).value for value in whole[:count]]
        else:
            param.value = list(real[:count])
        return OK

    def paramSetValue(self, token: int, *values: Any) -> int:
        return self._put(token, values[:4], values[4:])

    def paramSetValueAtTime(self, token: int, time: float, *values: Any) -> int:
        return self._put(token, values[:4], values[4:])

    def paramGetNumKeys(self, token: int, address: int) -> int:
        if self._tokens.find(token, Param) is None:
            return Status.BAD_HANDLE
        return self._out("i", address, 0)

    def paramGetKeyTime(self, token: int, index: int, address: int) -> int:
        self._tokens.find(token, Param)
        return Status.BAD_INDEX

    def paramGetKeyIndex(self, token: int, time: float, direction: int, address: int) -> int:
        self._tokens.find(token, Param)
        return Status.FAILED

    def paramDeleteKey(self, token: int, time: float) -> int:
        return self._put(token, (0,) * 4, (0.0,) * 4)

    def paramDeleteAllKeys(self, token: int) -> int:
        return self._put(token, (0,) * 4, (0.0,) * 4)

    def paramCopy(self, to: int, source: int, offset: float, frames: int | None) -> int:
        self._tokens.find(to, Param)
        self._tokens.find(source, Param)
        return Status.UNSUPPORTED

    def paramEditBegin(self, token: int, name: bytes) -> int:
        return OK if self._tokens.find(token, ParamSet) else Status.BAD_HANDLE

    def paramEditEnd(self, token: int) -> int:
        return OK if self._tokens.find(token, ParamSet) else Status.BAD_HANDLE

    # ---- OfxMessageSuite, OfxProgressSuite, OfxTimeLineSuite ----------------------------------

    def _text(self, kind: bytes, form: bytes | None, first: int | None) -> str:
        if kind.decode() not in (
            "OfxMessageFatal",
            "OfxMessageError",
            "OfxMessageWarning",
            "OfxMessageMessage",
            "OfxMessageLog",
            "OfxMessageQuestion",
        ):
            self._record.violation(f"no message is of type {kind!r}")
        if form != b"%s":
            self._record.violation(f"a message's format is {form!r}, not '%s'")
            return (form or b"").decode()
        return (c_char_p(first).value or b"").decode()

    def _message(self, token: int, kind: bytes, name: bytes | None, form: bytes, first: int) -> int:
        effect = self._tokens.find(token, (Effect, Descriptor))
        text = self._text(kind, form, first)
        if isinstance(effect, Effect):
            effect.messages.append((kind.decode(), (name or b"").decode(), text))
        return OK

    def setPersistentMessage(
        self, token: int, kind: bytes, name: bytes | None, form: bytes, first: int
    ) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        message = (kind.decode(), (name or b"").decode(), self._text(kind, form, first))
        if effect.persistent == message:
            self._record.violation("the same persistent message was set again")
        effect.persistent = message
        effect.messages.append(message)
        return OK

    def clearPersistentMessage(self, token: int) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        effect.persistent = None
        return OK

    def progressStart(self, token: int, message: bytes, name: bytes | None = None) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        if effect.progressing:
            self._record.violation("progress was started twice")
        effect.progressing = True
        effect.progress.append(message.decode())
        return OK

    def progressUpdate(self, token: int, done: float) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        if not effect.progressing:
            self._record.violation("progress was updated without a start")
        if not 0.0 <= done <= 1.0:
            self._record.violation(f"progress of {done}, not 0..1")
        effect.progress.append(done)
        return effect.progress_answer

    def progressEnd(self, token: int) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        if not effect.progressing:
            self._record.violation("progress was ended without a start")
        effect.progressing = False
        return OK

    def getTime(self, token: int, address: int) -> int:
        effect = self._tokens.find(token, Effect)
        return self._out("d", address, effect.time) if effect else Status.BAD_HANDLE

    def gotoTime(self, token: int, time: float) -> int:
        effect = self._tokens.find(token, Effect)
        action = self._record.action
        if action is None or action.name not in _MAY_SET:
            self._record.violation("gotoTime outside a user's action")
        return OK if effect else Status.BAD_HANDLE

    def getTimeBounds(self, token: int, first: int, last: int) -> int:
        effect = self._tokens.find(token, Effect)
        if effect is None:
            return Status.BAD_HANDLE
        self._out("d", first, 1.0)
        return self._out("d", last, 100.0)

    # ---- OfxMemorySuite, OfxMultiThreadSuite --------------------------------------------------

    def memoryAlloc(self, token: int | None, size: int, address: int) -> int:
        buffer = ctypes.create_string_buffer(size)
        self._host.blocks[ctypes.addressof(buffer)] = buffer
        return self._out("p", address, ctypes.addressof(buffer))

    def memoryFree(self, address: int) -> int:
        if self._host.blocks.pop(address, None) is None:
            self._record.violation("memoryFree of a block that is not allocated")
            return Status.BAD_HANDLE
        return OK

    def multiThread(self, function: int, count: int, argument: int | None) -> int:
        if not 0 < count <= 64:
            self._record.violation(f"multiThread on {count} threads")
            return Status.FAILED
        if getattr(self._local, "index", None) is not None:
            return Status.EXISTS
        action = self._record.action
        work = THREAD_FUNCTION(function)

        def run(index: int) -> None:
            self._local.index = index
            with self._record.doing(action or Action("multiThread")):
                work(index, count, argument)

        threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return OK

    def multiThreadNumCPUs(self, address: int) -> int:
        c_uint.from_address(address).value = 2
        return OK

    def multiThreadIndex(self, address: int) -> int:
        c_uint.from_address(address).value = getattr(self._local, "index", None) or 0
        return OK

    def multiThreadIsSpawnedThread(self) -> int:
        return int(getattr(self._local, "index", None) is not None)

    def mutexCreate(self, address: int, count: int) -> int:
        mutex = Mutex()
        for _ in range(count):
            mutex.lock.acquire()
        return self._out("p", address, self._tokens.give(mutex))

    def mutexDestroy(self, token: int) -> int:
        if self._tokens.find(token, Mutex) is None:
            return Status.BAD_HANDLE
        self._tokens.kill(token)
        return OK

    def mutexLock(self, token: int) -> int:
        mutex = self._tokens.find(token, Mutex)
        if mutex is None:
            return Status.BAD_HANDLE
        mutex.lock.acquire()
        return OK

    def mutexUnLock(self, token: int) -> int:
        mutex = self._tokens.find(token, Mutex)
        if mutex is None:
            return Status.BAD_HANDLE
        try:
            mutex.lock.release()
        except RuntimeError:
            self._record.violation("a mutex was unlocked by a thread that does not hold it")
        return OK

    def mutexTryLock(self, token: int) -> int:
        mutex = self._tokens.find(token, Mutex)
        if mutex is None:
            return Status.BAD_HANDLE
        return OK if mutex.lock.acquire(blocking=False) else Status.FAILED
