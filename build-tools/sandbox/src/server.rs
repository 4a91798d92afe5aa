//! A listener on loopback with a thread of its own.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::{
    Answer, Ending, RequestRecord,
    body::{Body, BrokenOnPurpose},
};

/// The largest request body that is read.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// What answers the requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// A connection has been accepted.
    fn connected(&self);

    /// A request has arrived whole.
    fn answer(&self, request: RequestRecord) -> Reply;

    /// A request has arrived.
    fn begun(&self) {}

    /// Its reply is about to be sent, or its client has gone.
    fn ended(&self) {}
}

/// A response and how it is sent.
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    pub(crate) delay: Duration,
    /// Whether the connection is closed instead of answered.
    pub(crate) hang_up: bool,
}

impl Reply {
    pub(crate) fn new(
        status: StatusCode,
        content_type: &'static str,
        chunks: impl Into<VecDeque<Bytes>>,
    ) -> Self {
        let mut response = Response::new(Body::whole(chunks));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self::from(response)
    }

    pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        let body = Bytes::from(body.to_string());
        Self::new(status, "application/json", [body])
    }

    /// Adds a header; a value that no header can carry is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().append(name, value);
        }
        self
    }
}

impl From<Response<Body>> for Reply {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            delay: Duration::ZERO,
            hang_up: false,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let mut response = Response::new(Body::new([answer.body.into()].into(), answer.ending));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &answer.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                response.headers_mut().append(name, value);
            }
        }
        Self {
            response,
            delay: answer.delay,
            hang_up: answer.ending == Ending::NoResponse,
        }
    }
}

/// A bound port of 127.0.0.1.
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Bound {
    pub(crate) fn new(port: u16) -> Result<Self, String> {
        let bind = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, address })
        };
        bind().map_err(|error| format!("port {port} of 127.0.0.1 cannot be opened: {error}"))
    }

    /// The scheme, host and port that reach it.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A server that ends, with every connection, when it is dropped.
pub(crate) struct Server {
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(bound: Bound, handler: Arc<dyn Handler>) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the sandbox cannot be started: {error}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(bound.listener).map_err(failed)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || runtime.block_on(serve(listener, handler, stopped)))
            .map_err(failed)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by its own thread.
            drop(thread.join());
        }
    }
}

/// Accepts connections until `stopped`; the runtime then drops those that are still open.
async fn serve(
    listener: tokio::net::TcpListener,
    handler: Arc<dyn Handler>,
    mut stopped: oneshot::Receiver<Infallible>,
) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        // Accepting fails for a connection that its client has given up, or when there are no
        // file descriptors: both pass.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        handler.connected();
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            // Without it, the end of a response can wait for the client's acknowledgement.
            let no_delay = stream.set_nodelay(true);
            let service = service_fn(|request| respond(&*handler, request));
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // Clients may leave at any time, and some responses are broken off on purpose.
            drop((no_delay, served));
        });
    }
}

async fn respond(
    handler: &dyn Handler,
    request: Request<Incoming>,
) -> Result<Response<Body>, BrokenOnPurpose> {
    let _under_way = UnderWay::new(handler);
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(Some(body)) => body,
        Ok(None) => {
            let text = Bytes::from_static(b"the request body is larger than 1 MiB\n");
            return Ok(Reply::new(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", [text]).response);
        }
        Err(_) => return Err(BrokenOnPurpose),
    };
    let query = head.uri.query().unwrap_or_default();
    let reply = handler.answer(RequestRecord {
        path: head.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        method: head.method,
        headers: head.headers,
        body,
        at: Instant::now(),
    });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.hang_up {
        return Err(BrokenOnPurpose);
    }
    Ok(reply.response)
}

/// Tells the handler how long a request takes, also when its client goes away.
struct UnderWay<'a>(&'a dyn Handler);

impl<'a> UnderWay<'a> {
    fn new(handler: &'a dyn Handler) -> Self {
        handler.begun();
        Self(handler)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Reads a body, or gives none when it is too large.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        if let Ok(data) = frame?.into_data() {
            if bytes.len() + data.len() > MAX_REQUEST_BODY {
                return Ok(None);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Some(bytes.freeze()))
}
