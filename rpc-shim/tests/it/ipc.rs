//! IPC on a real socket: framing, batches, subscriptions, limits, hostile clients, and the end.

use crate::dev::dev;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::{Dev, Mining},
    server::{IpcHandle, IpcSettings, serve_ipc},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    sync::{Arc, LazyLock},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

struct Server {
    dev: Arc<Dev>,
    folder: TempDir,
    handle: Option<IpcHandle>,
}

impl Server {
    fn start(change: impl FnOnce(&mut IpcSettings)) -> Self {
        let (dev, folder) = (dev(Mining::Manual), tempfile::tempdir().unwrap());
        let mut settings = settings(folder.path().join("laminar.ipc"));
        change(&mut settings);
        let context = Context::new(Arc::clone(dev.node()), Limits::default()).with_dev(Arc::clone(&dev));
        let handle = RUNTIME.block_on(serve_ipc(settings, module(context).into())).unwrap();
        Self { dev, folder, handle: Some(handle) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("laminar.ipc")
    }

    fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.path()).unwrap();
        Client { answers: BufReader::new(stream.try_clone().unwrap()), stream }
    }
}

fn settings(path: PathBuf) -> IpcSettings {
    IpcSettings {
        path,
        request_len_max: 10_000,
        response_len_max: 100_000,
        batch_len_max: 10,
        connections_max: 2000,
        subscriptions_max: 3,
    }
}

struct Client {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Client {
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "the connection ended");
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string());
        self.read()
    }
}

/// What `text` is answered with: results and error codes by id.
#[track_caller]
fn check(text: &str, want: &[Value]) {
    let server = Server::start(|_| ());
    let mut client = server.connect();
    client.send(text);
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut found = String::new();
    client.answers.read_to_string(&mut found).unwrap();
    let short = |mut answer: Value| {
        let code = answer["error"]["code"].take();
        json!([answer["id"].take(), if code.is_null() { answer["result"].take() } else { code }])
    };
    let mut found: Vec<Value> = found
        .lines()
        .map(|line| match serde_json::from_str(line).unwrap() {
            Value::Array(batch) => batch.into_iter().map(short).collect(),
            answer => short(answer),
        })
        .collect();
    // Calls run beside each other.
    found.sort_by_key(Value::to_string);
    let mut want = want.to_vec();
    want.sort_by_key(Value::to_string);
    assert_eq!(found, want, "{text}");
}

#[test]
fn requests_are_answered_however_they_are_put() {
    let ask = |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId","params":[]}}"#);
    check(&ask(1), &[json!([1, "0x7a69"])]);
    check(&format!("{}\n{}\n", ask(1), ask(2)), &[json!([1, "0x7a69"]), json!([2, "0x7a69"])]);
    check(&format!("{}{}  ", ask(1), ask(2)), &[json!([1, "0x7a69"]), json!([2, "0x7a69"])]);
    check(&format!("[{},{}]", ask(1), ask(2)), &[json!([[1, "0x7a69"], [2, "0x7a69"]])]);
    check(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#, &[]);
    check(r#"[{"jsonrpc":"2.0","method":"eth_chainId"}]"#, &[]);
}

#[test]
fn what_is_no_request_has_the_code_that_says_so() {
    check("hello\n", &[json!([null, -32700])]);
    check("{\"a\":}", &[json!([null, -32700])]);
    check("{}", &[json!([null, -32600])]);
    check("[]", &[json!([null, -32600])]);
    check(r#"[1,{"id":3}]"#, &[json!([[null, -32600], [3, -32600]])]);
    check(r#"{"jsonrpc":"2.0","id":7,"method":"eth_nothing"}"#, &[json!([7, -32601])]);
    check(r#"{"jsonrpc":"2.0","id":"x","method":"eth_getBalance","params":[1]}"#, &[json!(["x", -32602])]);
    let batch = [r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#; 11].join(",");
    check(&format!("[{batch}]"), &[json!([null, -32010])]);
    check(&format!("[{}]", " ".repeat(10_000)), &[json!([null, -32007])]);
    check(&"[".repeat(9_000), &[json!([null, -32700])]);
}

#[test]
fn a_subscription_tells_of_blocks_until_it_ends() {
    let server = Server::start(|_| ());
    let mut client = server.connect();
    let subscribed = client.ask("eth_subscribe", json!(["newHeads"]));
    let id = subscribed["result"].as_str().unwrap_or_else(|| panic!("{subscribed}")).to_owned();
    for number in 1..=3 {
        server.dev.mine().unwrap();
        let told = client.read();
        assert_eq!(told["params"]["subscription"], id, "{told}");
        assert_eq!(told["params"]["result"]["number"], format!("{number:#x}"));
    }
    let mut other = server.connect();
    assert_eq!(other.ask("eth_unsubscribe", json!([id]))["result"], false, "of another connection");
    assert_eq!(client.ask("eth_unsubscribe", json!([id]))["result"], true);
    server.dev.mine().unwrap();
    assert_eq!(client.ask("eth_blockNumber", json!([]))["result"], "0x4");
    for _ in 0..3 {
        assert!(client.ask("eth_subscribe", json!(["newHeads"]))["result"].is_string());
    }
    assert_eq!(client.ask("eth_subscribe", json!(["newHeads"]))["error"]["code"], -32006);
}

#[test]
fn clients_that_do_not_read_or_finish_stop_only_themselves() {
    let server = Server::start(|_| ());
    let clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for (at, client) in clients.iter().enumerate() {
        let mut stream = &client.stream;
        stream.set_nonblocking(true).unwrap();
        let ask = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}"#;
        // Half of them ask and never read, until the socket takes no more; the others stop inside a request.
        let text = if at % 2 == 0 { ask.repeat(1000) } else { "[".to_owned() };
        match stream.write_all(text.as_bytes()) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    let mut client = server.connect();
    for _ in 0..50 {
        assert_eq!(client.ask("eth_chainId", json!([]))["result"], "0x7a69");
    }
    server.dev.mine().unwrap();
    drop(clients);
    assert_eq!(client.ask("eth_blockNumber", json!([]))["result"], "0x1");
}

#[test]
fn the_socket_is_its_owners_and_goes_with_the_server() {
    let mut server = Server::start(|_| ());
    let path = server.path();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let methods = || module(Context::new(Arc::clone(server.dev.node()), Limits::default())).into();
    let busy = RUNTIME.block_on(serve_ipc(settings(path.clone()), methods())).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::AddrInUse);
    let file = server.folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let taken = RUNTIME.block_on(serve_ipc(settings(file.clone()), methods())).unwrap_err();
    assert_eq!((taken.kind(), std::fs::read_to_string(&file).unwrap().as_str()), (ErrorKind::AlreadyExists, "mine"));
    // What a node that was killed leaves behind is no hindrance.
    let left = server.folder.path().join("left.ipc");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let next = RUNTIME.block_on(serve_ipc(settings(left.clone()), methods())).unwrap();
    RUNTIME.block_on(next.stop());
    let mut client = server.connect();
    assert_eq!(client.ask("eth_chainId", json!([]))["result"], "0x7a69");
    RUNTIME.block_on(server.handle.take().unwrap().stop());
    assert!(!path.exists() && !left.exists());
    assert_eq!(client.answers.read_line(&mut String::new()).unwrap(), 0, "the connection has ended");
}
