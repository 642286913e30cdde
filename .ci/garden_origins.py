"""The origins of the garden: web servers that write down every request they see, as `METHOD TARGET`, and answer with
its target where they can. Each is a class with what it needs; `start` gives back the processes."""

import os
import shutil
import subprocess
import sys

WSGI = '''
import os
LOG = os.environ["GARDEN_LOG"]

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    target = environ["PATH_INFO"]
    with open(LOG, "a") as log:
        log.write(environ["REQUEST_METHOD"] + " " + target + "\\n")
    answer = (target + "\\n").encode("latin-1", "replace")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
'''

ASGI = '''
import os
LOG = os.environ["GARDEN_LOG"]

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        await send({"type": "websocket.close"})
        return
    with open(LOG, "a") as log:
        log.write(scope["method"] + " " + scope["path"] + "\\n")
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        if not event.get("more_body"):
            break
    answer = (scope["path"] + "\\n").encode("latin-1", "replace")
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
'''

TORNADO = '''
import asyncio, os, sys
import tornado.httpserver, tornado.web
LOG = os.environ["GARDEN_LOG"]

class Any(tornado.web.RequestHandler):
    SUPPORTED_METHODS = tornado.web.RequestHandler.SUPPORTED_METHODS + ("TRACE",)
    def any(self):
        self.set_header("Content-Type", "text/plain")
        self.write(self.request.path + "\\n")
    def prepare(self):
        with open(LOG, "a") as log:
            log.write(self.request.method + " " + self.request.path + "\\n")
    get = post = put = delete = patch = options = head = trace = any

async def main():
    application = tornado.web.Application([(r".*", Any)])
    application.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
'''

AIOHTTP = '''
import os, sys
from aiohttp import web
LOG = os.environ["GARDEN_LOG"]

async def any(request):
    with open(LOG, "a") as log:
        log.write(request.method + " " + request.path + "\\n")
    await request.read()
    return web.Response(text=request.path + "\\n")

application = web.Application()
application.router.add_route("*", "/{tail:.*}", any)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
'''

NODE = '''
const fs = require('fs'), http = require('http');
const log = process.env.GARDEN_LOG;
const server = http.createServer((request, response) => {
  fs.appendFileSync(log, request.method + ' ' + request.url + '\\n');
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end(request.url + '\\n');
  });
});
server.keepAliveTimeout = 60000;
server.listen(+process.argv[2], '127.0.0.1');
'''

RACK = '''
run lambda { |env|
  body = env['rack.input'].read
  path = env['PATH_INFO']
  File.open(ENV['GARDEN_LOG'], 'a') { |log| log.write(env['REQUEST_METHOD'] + ' ' + path + "\\n") }
  [200, { 'Content-Type' => 'text/plain' }, [path + "\\n"]]
}
'''

NGINX = '''
worker_processes 1;
daemon off;
pid {room}/nginx.pid;
error_log {room}/nginx.error;
events {{ worker_connections 512; }}
http {{
  log_format garden '$request';
  access_log {log} garden;
  client_body_temp_path {room}/body; proxy_temp_path {room}/proxy; fastcgi_temp_path {room}/fastcgi;
  uwsgi_temp_path {room}/uwsgi; scgi_temp_path {room}/scgi;
  keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "$request_uri\\n"; }} }}
}}
'''

APACHE = '''
ServerRoot {room}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {room}/apache.pid
ErrorLog {room}/apache.error
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
DocumentRoot {room}/empty
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LogFormat "%r" garden
CustomLog {log} garden
ErrorDocument 404 "%{{escape:%{{REQUEST_URI}}}}"
'''

LIGHTTPD = '''
server.document-root = "{room}/empty"
server.bind = "127.0.0.1"
server.port = {port}
server.pid-file = "{room}/lighttpd.pid"
server.errorlog = "{room}/lighttpd.error"
server.modules = ("mod_accesslog")
server.max-keep-alive-requests = 1000000
server.max-keep-alive-idle = 60
accesslog.filename = "{log}"
accesslog.format = "%r"
'''


class Origin:
    def __init__(self, name, command, version, files=(), echoes=True):
        self.name, self.command, self.version = name, command, version
        self.files, self.echoes = files, echoes
        self.process = None

    def start(self, room, port):
        self.room, self.port = os.path.join(room, self.name), port
        os.makedirs(os.path.join(self.room, "empty"), exist_ok=True)
        self.log = os.path.join(self.room, "seen.log")
        open(self.log, "w").close()
        modules = "/usr/lib/apache2/modules"
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        words = {"room": self.room, "port": port, "log": self.log, "modules": modules, "user": user}
        for file, text in self.files:
            with open(os.path.join(self.room, file), "w") as out:
                out.write(text.format(**words) if file.endswith(".conf") else text)
        command = [word.format(**words) for word in self.command]
        environment = dict(os.environ, GARDEN_LOG=self.log, PYTHONDONTWRITEBYTECODE="1")
        out = open(os.path.join(self.room, "output"), "w")
        self.process = subprocess.Popen(
            command, cwd=self.room, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )

    def seen(self):
        with open(self.log, encoding="latin-1") as log:
            return log.read().splitlines()


def _version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _package(name):
    code = f"import importlib.metadata as m; print('{name}', m.version('{name}'))"
    return _version([sys.executable, "-c", code])


def origins():
    """Every origin that this machine has, and the names of those it has not."""
    python = sys.executable
    sbin = lambda name: shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    nginx, apache, lighttpd = sbin("nginx"), sbin("apache2"), sbin("lighttpd")
    node, puma = shutil.which("node"), shutil.which("puma")
    wsgi, asgi = [("app.py", WSGI)], [("app.py", ASGI)]
    address = "127.0.0.1:{port}"
    wanted = [
        ("nginx", nginx and _version([nginx, "-v"]), [nginx, "-p", "{room}", "-c", "{room}/nginx.conf"], [("nginx.conf", NGINX)]),
        ("apache2", apache and _version([apache, "-v"]), [apache, "-X", "-f", "{room}/apache.conf"], [("apache.conf", APACHE)]),
        ("lighttpd", lighttpd and _version([lighttpd, "-v"]), [lighttpd, "-D", "-f", "{room}/lighttpd.conf"], [("lighttpd.conf", LIGHTTPD)]),
        ("node", node and _version([node, "--version"]), [node, "app.js", "{port}"], [("app.js", NODE)]),
        ("puma", puma and _version([puma, "--version"]), [puma or "", "-q", "-b", "tcp://" + address, "-t", "2:2", "app.ru"], [("app.ru", RACK)]),
        ("gunicorn", _package("gunicorn"), [python, "-m", "gunicorn", "-b", address, "-k", "gthread", "--threads", "4", "--keep-alive", "60", "app"], wsgi),
        ("waitress", _package("waitress"), [python, "-m", "waitress", "--listen", address, "app:application"], wsgi),
        ("hypercorn", _package("hypercorn"), [python, "-m", "hypercorn", "-b", address, "--keep-alive", "60", "app:application"], asgi),
        ("uvicorn-h11", _package("uvicorn") and _package("h11"), [python, "-m", "uvicorn", "--port", "{port}", "--http", "h11", "--no-access-log", "--timeout-keep-alive", "60", "app:application"], asgi),
        ("uvicorn-httptools", _package("uvicorn") and _package("httptools"), [python, "-m", "uvicorn", "--port", "{port}", "--http", "httptools", "--no-access-log", "--timeout-keep-alive", "60", "app:application"], asgi),
        ("tornado", _package("tornado"), [python, "app.py", "{port}"], [("app.py", TORNADO)]),
        ("aiohttp", _package("aiohttp"), [python, "app.py", "{port}"], [("app.py", AIOHTTP)]),
    ]
    here = [Origin(name, command, version, files) for name, version, command, files in wanted if version]
    return here, [name for name, version, *_ in wanted if not version]
