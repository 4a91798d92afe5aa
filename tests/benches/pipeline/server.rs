//! The API: tokens for client credentials, and pages by offset, over HTTP/1.1 on loopback.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::thread;

use crate::options::Options;
use crate::sample::Pages;
use crate::{Result, children};

/// The token that every data request must carry.
pub const TOKEN: &str = "bench-token";

/// A server in a process of its own, ended when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    pub url: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(options: &Options) -> Result<Self> {
        let mut process = children::command("server", options)?
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
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the process is ended.
pub fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let pages = Arc::new(Pages::new(options.rows, options.page));
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    for stream in listener.incoming() {
        let (stream, pages) = (stream?, Arc::clone(&pages));
        thread::spawn(move || {
            // A client that goes away ends its connection.
            let _ = answer(&stream, &pages);
        });
    }
    Ok(())
}

fn answer(stream: &TcpStream, pages: &Pages) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let (mut body, mut response) = (Vec::new(), Vec::new());
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorized) = (0, false);
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "authorization" => authorized = value == format!("Bearer {TOKEN}"),
                _ => {}
            }
        }
        std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink())?;
        body.clear();
        let status = page(&target, authorized, pages, &mut body);
        response.clear();
        write!(
            response,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        response.extend_from_slice(&body);
        (&*stream).write_all(&response)?;
    }
}

/// Writes the body of an answer and returns its status.
fn page(target: &str, authorized: bool, pages: &Pages, body: &mut Vec<u8>) -> &'static str {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/oauth/token" => {
            let token = format!(
                "{{\"access_token\":\"{TOKEN}\",\"token_type\":\"bearer\",\"expires_in\":86400}}"
            );
            body.extend_from_slice(token.as_bytes());
            "200 OK"
        }
        "/v1/records" if !authorized => "401 Unauthorized",
        "/v1/records" => {
            let values: HashMap<&str, &str> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .collect();
            let value = |name| values.get(name).and_then(|text| text.parse::<u64>().ok());
            match (value("offset"), value("limit")) {
                // Nobody in this benchmark asks between two pages; an empty one follows the last.
                (Some(offset), Some(limit))
                    if limit == pages.page() && (offset % limit == 0 || offset == pages.rows()) =>
                {
                    pages.render(offset.div_ceil(limit), body);
                    "200 OK"
                }
                _ => "400 Bad Request",
            }
        }
        _ => "404 Not Found",
    }
}
