"""A page in Chromium, which runs without a window and is asked over its debugging protocol."""

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.processes import await_true

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """The page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[Any] = []
        """What the browser complained about, such as a breach of the page's policy."""

    async def ask(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401
        """Return the result of a method of the protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (said := await self._socket.receive_json()).get("id") != number:
            if said["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(said["params"])
        return said["result"]

    async def show(self, url: str, width: int = 1280, height: int = 800) -> None:
        """Go to a URL, in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", **size)
        await self.ask("Page.navigate", url="about:blank")
        await self.ask("Page.navigate", url=url)
        await self.until("location.href != 'about:blank' && document.readyState == 'complete'")

    async def value(self, script: str) -> Any:  # noqa: ANN401
        """Return the value of an expression, or of the promise that it is."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        while not await self.value(condition):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def browser(directory: Path) -> AsyncGenerator[Page]:
    """Yield an empty page of a browser that keeps its files in a directory."""
    command = (
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={directory}"),
        "about:blank",
    )
    port = directory / "DevToolsActivePort"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603, ASYNC220 - ours
        try:
            await asyncio.to_thread(
                await_true, lambda: port.exists() and "\n" in port.read_text(), "the browser"
            )
            base = f"http://127.0.0.1:{port.read_text().split()[0]}/json"
            async with aiohttp.ClientSession() as session:
                async with session.get(base) as answer:
                    (target, *_) = [x for x in await answer.json() if x["type"] == "page"]
                url = target["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Log", "Runtime", "Page"):
                        await page.ask(f"{domain}.enable")
                    yield page
        finally:
            process.terminate()
