//! A node with its authenticated and its public server on free ports, and a client that speaks to them over HTTP.

use alloy_rpc_types_engine::{Claims, JwtSecret};
use jsonrpsee::server::ServerHandle;
use laminar_rpc_shim::{
    api::{self, Context, Limits},
    engine::{BuildProcesses, BuilderSettings, Engine, EngineApi, PoolBuilder},
    node::Node,
    pool::{Pool, Settings},
    server::{self, EngineSettings, VirtualHosts, serve, serve_engine},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, LazyLock},
};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A server that ends with this value.
pub(crate) struct Server {
    address: SocketAddr,
    public: SocketAddr,
    secret: JwtSecret,
    pub(crate) node: Arc<Node>,
    handles: [ServerHandle; 2],
}

impl Server {
    pub(crate) fn start(node: Arc<Node>) -> Self {
        Self::with(node, Settings::default(), BuilderSettings::default())
    }

    pub(crate) fn with(node: Arc<Node>, pool: Settings, builder: BuilderSettings) -> Self {
        let pool = Arc::new(Pool::new(pool, node.pool_head().unwrap()));
        let builder = PoolBuilder::new(Arc::clone(&node), Arc::clone(&pool), builder);
        let processes = Arc::new(BuildProcesses::new(Arc::new(builder)));
        let engine = Engine::new(Arc::clone(&node)).building(Arc::clone(&processes));
        let api = EngineApi::start(engine, Arc::clone(&pool), processes).unwrap();
        let context = Context::new(Arc::clone(&node), Limits::default()).with_pool(pool);
        let secret = JwtSecret::random();
        let settings = EngineSettings { address: ([127, 0, 0, 1], 0).into(), secret, hosts: VirtualHosts::new([]) };
        let methods = api::module(context.clone()).into();
        let (engine, address) = RUNTIME.block_on(serve_engine(settings, api, context)).unwrap();
        let settings = server::Settings::on(([127, 0, 0, 1], 0).into());
        let (http, public) = RUNTIME.block_on(serve(&settings, methods)).unwrap();
        Self { address, public, secret, node, handles: [engine, http] }
    }

    /// Posts a body with an `Authorization` header; status and body of the answer.
    pub(crate) fn post(&self, authorization: Option<&str>, body: &str) -> (u16, String) {
        Self::post_to(self.address, authorization, body)
    }

    fn post_to(address: SocketAddr, authorization: Option<&str>, body: &str) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut request = agent.post(format!("http://{address}")).content_type("application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).unwrap();
        let status = response.status().as_u16();
        (status, response.body_mut().with_config().limit(1 << 28).read_to_string().unwrap())
    }

    /// Asks the authenticated port for a WebSocket, with an `Authorization` header or without; the status, and the length of the
    /// body if the answer is a refusal.
    pub(crate) fn upgrade(&self, is_authorized: bool) -> (String, Option<String>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let token = self.secret.encode(&Claims::with_current_timestamp()).unwrap();
        let authorization = if is_authorized { format!("authorization: Bearer {token}\r\n") } else { String::new() };
        let head = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let host = self.address;
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n{head}{authorization}\r\n").as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(|line| line.unwrap().to_lowercase());
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let status = head[0].split(' ').nth(1).unwrap().to_owned();
        (status, head.iter().find_map(|line| Some(line.strip_prefix("content-length: ")?.to_owned())))
    }

    /// A whole answer to a request.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        self.ask_raw(&request.to_string())
    }

    /// A whole answer to whatever bytes.
    pub(crate) fn ask_raw(&self, request: &str) -> Value {
        let token = self.secret.encode(&Claims::with_current_timestamp()).unwrap();
        let (status, body) = self.post(Some(&format!("Bearer {token}")), request);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A whole answer of the public server.
    pub(crate) fn ask_public(&self, request: &Value) -> Value {
        let (status, body) = Self::post_to(self.public, None, &request.to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The result of a call, or the code of its error.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, i64> {
        let mut answer = self.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        match answer["error"]["code"].as_i64() {
            Some(code) => Err(code),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for handle in &self.handles {
            let _ = handle.stop();
        }
    }
}
