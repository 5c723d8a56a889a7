//! A proxy before a server, which seems far away through it, for `bench/postgres.mjs`:
//!
//! ```text
//! distant <port of the server> <microseconds each way>
//! ```
//!
//! It prints its own port, and ends with its standard input.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, distance_us] = &arguments[..] else {
        return Err("usage: distant PORT MICROSECONDS".into());
    };
    let (port, distance) = (port.parse()?, Duration::from_micros(distance_us.parse()?));
    // Without this a thread sleeps for 50 microseconds more. The threads have it from this one.
    std::fs::write("/proc/self/timerslack_ns", "1000")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A server that is gone ends the connection of the client.
            let _ = join(client, port, distance);
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn join(client: TcpStream, port: u16, distance: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || carry(client, to_server, distance));
    thread::spawn(move || carry(server, to_client, distance));
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, distance: Duration) {
    let (sender, under_way) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (arrives_at, bytes) in under_way {
            thread::sleep(arrives_at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if sender.send((Instant::now() + distance, bytes[..length].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
}
