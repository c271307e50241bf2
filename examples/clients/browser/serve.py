"""A page that talks to VITA by itself: python examples/clients/browser/serve.py --key KEY.

Open http://127.0.0.1:8099. The page never sees the key: this server asks the model server for a
client secret, which opens one session, each time somebody presses the button. Put your own login in
front of `/secret`. Needs `pip install aiohttp` and a running `vita model serve`.
"""

# %% Where
import argparse
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, web

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--url", default="http://127.0.0.1:8090/v1")
options.add_argument("--key", default="none", help="With the scope client_secrets.")
options.add_argument("--instructions", default="You answer for Hart's Bakery. Open 9 am to 5 pm.")
options.add_argument("--port", type=int, default=8099)
given = options.parse_args()

HERE = Path(__file__).parent
SESSION = {
    "type": "realtime",
    "instructions": given.instructions,
    "audio": {"input": {"transcription": {"model": "any"}}},
}


# %% What the page asks for
async def page(_):
    return web.FileResponse(HERE / "index.html")


async def script(_):
    return web.FileResponse(HERE / "talk.js")


async def secret(_):
    wish = {"expires_after": {"anchor": "created_at", "seconds": 30}, "session": SESSION}
    async with (
        ClientSession(timeout=ClientTimeout(10)) as model_server,
        model_server.post(
            f"{given.url}/realtime/client_secrets",
            headers={"Authorization": f"Bearer {given.key}"},
            json=wish,
        ) as made,
    ):
        if made.status != 200:
            return web.json_response({"error": "Nobody can talk now."}, status=503)
        value = (await made.json())["value"]
    address = given.url.replace("http", "ws", 1) + "/realtime?model=vita"
    return web.json_response({"url": address, "secret": value})


app = web.Application()
app.add_routes([web.get("/", page), web.get("/talk.js", script), web.post("/secret", secret)])
web.run_app(app, host="127.0.0.1", port=given.port)
