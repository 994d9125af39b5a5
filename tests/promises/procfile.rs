//! "My Procfile runs as it is: each line is an app, each has its port, and I can have more of each."

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::{beside, get, soon};

const SERVER: &str = "require('http').createServer((request, response) => \
    response.end(`port ${process.env.PORT}\\n`)).listen(process.env.PORT);\n";

const PYTHON: &str = "import http.server, os\n\
    print('listening on', os.environ['PORT'], flush=True)\n\
    http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";

#[test]
fn lines_are_apps_with_ports_of_their_own() {
    let _turn = beside();
    // The third program's port is 200 above the first one's, as with others that run Procfiles.
    let port = loop {
        let port = free_port();
        let next = port.checked_add(200);
        if next.is_some_and(crate::support::ports::is_free) {
            break port;
        }
    };
    let user = Background::new().env("PORT", port);
    user.write("server.js", SERVER);
    user.write("api.py", PYTHON);
    user.write("worker.js", "console.log('worker with', process.argv[2]); setInterval(() => {}, 1000);\n");
    user.write(
        "Procfile",
        "# the site\nweb: node server.js\nworker: node worker.js \"two words\"\napi: python3 api.py $PORT\nrelease: exit 1\n",
    );
    let started = user.done(&["start", "--no-wait"]);
    assert!(started.stderr.contains("`release`"), "{started:?}");
    let answers =
        |port: u16| crate::support::http::try_get(port, "/").is_ok_and(|answer| answer.status == 200);
    soon("both answer", || answers(port) && answers(port + 200));
    assert_eq!(get(port, "/").text(), format!("port {port}\n"));
    kill(
        user.wait_status("the first one is ready", |status| !status.of("web").ready_pids().is_empty())
            .ready_pids()[0],
    );
    soon("the killed one is replaced", || answers(port));
    soon("the worker runs", || user.logs("worker").contains("worker with two words"));
    user.done(&["scale", "api", "2"]);
    assert_eq!(
        user.wait_status("two of it", |status| status.of("api").ready_pids().len() == 2).names(),
        ["web", "worker", "api"]
    );
    assert!(answers(port + 200), "copies share the port that one had");
    // The same, written down.
    user.done(&["import"]);
    user.done(&["delete", "all"]);
    user.done(&["start", "stead.toml", "--no-wait"]);
    soon("both answer again", || answers(port) && answers(port + 200));
}
