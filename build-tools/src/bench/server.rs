//! The API: pages by offset and children of parents, over HTTP/1.1 on loopback, as late as asked for.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, IoSlice, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Result;
use super::sample::{Records, Shape, VARIETY};
use crate::Error;

/// A server in a process of its own, ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    url: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["bench", "--stage", "server"])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut output = BufReader::new(output);
        let mut address = String::new();
        output.read_line(&mut address)?;
        if address.trim().is_empty() {
            return Err("the server did not start".into());
        }
        Ok(Self {
            process,
            url: format!("http://{}", address.trim()),
            _output: output,
        })
    }

    /// The base URL of an API that has `rows` records and answers after `delay` milliseconds.
    pub(crate) fn url(&self, shape: Shape, rows: u64, delay: u64) -> String {
        format!("{}/{shape}/{rows}/{delay}", self.url)
    }

    /// Has the records of a shape rendered before anything is measured.
    pub(crate) fn prepare(&self, shape: Shape, rows: u64) -> Result<()> {
        let url = self.url(shape, rows, 0);
        let rest = url.trim_start_matches("http://");
        let (address, path) = rest.split_once('/').ok_or("no path")?;
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "GET /{path}/records?offset=0&limit=1 HTTP/1.1\r\nconnection: close\r\n\r\n"
        )?;
        stream.shutdown(std::net::Shutdown::Write)?;
        std::io::copy(&mut stream, &mut std::io::sink())?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The records of each shape that has been asked for, and how many of them differ.
type Shapes = Mutex<HashMap<(Shape, u64), Arc<Records>>>;

/// Tells its address and serves until the process is ended.
pub(crate) fn serve(tell: impl FnOnce(SocketAddr) -> Result<(), Error>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(listener.local_addr()?)?;
    let shapes = Arc::new(Shapes::default());
    for stream in listener.incoming() {
        let (stream, shapes) = (stream?, Arc::clone(&shapes));
        thread::spawn(move || {
            // A client that goes away ends its connection.
            let _ = answer(&stream, &shapes);
        });
    }
    Ok(())
}

fn answer(stream: &TcpStream, shapes: &Shapes) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let mut body = Vec::new();
    let (mut line, mut target) = (String::new(), String::new());
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        target.clear();
        target.push_str(line.split(' ').nth(1).unwrap_or_default());
        let mut length = 0;
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink())?;
        body.clear();
        let status = match respond(&target, shapes, &mut body) {
            Some(()) => "200 OK",
            None => "404 Not Found",
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent =
            (&*stream).write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(&body)])?;
        match sent.checked_sub(head.len()) {
            Some(sent) => (&*stream).write_all(&body[sent..])?,
            None => return Err("the head of an answer was cut".into()),
        }
    }
}

/// Writes the answer to a request; nothing when there is none.
///
/// `/SHAPE/ROWS/DELAY/records?offset=&limit=` is a page, `/SHAPE/ROWS/DELAY/items/NUMBER/children` the one
/// child of an item.
fn respond(target: &str, shapes: &Shapes, body: &mut Vec<u8>) -> Option<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut words = path.split('/').skip(1);
    let shape: Shape = words.next()?.parse().ok()?;
    let total: u64 = words.next()?.parse().ok()?;
    let delay = words.next()?.parse().ok()?;
    if delay > 0 {
        thread::sleep(Duration::from_millis(delay));
    }
    match (words.next()?, words.next(), words.next()) {
        ("records", None, None) => {
            let value = |name| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(key, _)| *key == name)?.1.parse::<u64>().ok()
            };
            let first = value("offset")?.min(total);
            let end = total.min(first + value("limit")?);
            records(shape, total, shapes).page(first..end, total, body);
        }
        ("items", Some(number), Some("children")) => {
            let number: u64 = number.parse().ok()?;
            write!(
                body,
                "{{\"records\":[{{\"id\":\"child of {number}\",\"number\":{number}}}]}}"
            )
            .ok()?;
        }
        _ => return None,
    }
    Some(())
}

fn records(shape: Shape, total: u64, shapes: &Shapes) -> Arc<Records> {
    let mut shapes = shapes.lock().unwrap_or_else(PoisonError::into_inner);
    let records = shapes.entry((shape, total.min(VARIETY)));
    Arc::clone(records.or_insert_with(|| Arc::new(Records::new(shape, total))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_answered() {
        #[track_caller]
        fn check(target: &str, expect: Option<usize>) {
            let mut body = Vec::new();
            let answered = respond(target, &Shapes::default(), &mut body);
            let records = answered.map(|()| {
                let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
                page["records"].as_array().unwrap().len()
            });
            assert_eq!(records, expect, "{target}");
        }
        check("/flat/25/0/records?offset=0&limit=10", Some(10));
        check("/flat/25/0/records?limit=10&offset=20", Some(5));
        check("/flat/25/0/records?offset=25&limit=10", Some(0));
        check("/flat/25/0/records?offset=900&limit=10", Some(0));
        check("/flat/25/1/items/1000000003/children", Some(1));
        check("/flat/25/0/records", None);
        check("/round/25/0/records?offset=0&limit=10", None);
        check("/", None);
    }
}
