//! The public port against clients that take their time: a request that does not arrive keeps no place.

use crate::dev::dev;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::Mining,
    server::{Settings, serve},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Runtime;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

fn send(address: SocketAddr, len: usize, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {len}\r\n\r\n{body}").as_bytes()).unwrap();
    stream
}

fn status(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_request_that_does_not_arrive_keeps_no_place() {
    let runtime = Runtime::new().unwrap();
    let dev = dev(Mining::Manual);
    let context = Context::new(Arc::clone(dev.node()), Limits::default()).with_dev(dev);
    let address = ([127, 0, 0, 1], 0).into();
    let settings =
        Settings { request_time_max: Duration::from_millis(50), connections_max: 4, ..Settings::on(address) };
    let (handle, address) = runtime.block_on(serve(&settings, module(context).into())).unwrap();
    // As many as there are places, each with a body that never comes.
    let slow: Vec<_> = (0..4).map(|_| send(address, CALL.len(), "{")).collect();
    for stream in slow {
        assert_eq!(status(stream), "408");
    }
    for _ in 0..8 {
        assert_eq!(status(send(address, CALL.len(), CALL)), "200");
    }
    handle.stop().unwrap();
}
