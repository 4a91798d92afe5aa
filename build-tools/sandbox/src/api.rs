//! The whole server: what every request is answered with.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_plan::{Endpoint, Plan, Resource};
use hyper::{
    StatusCode,
    header::{ALLOW, AUTHORIZATION, HOST, RETRY_AFTER},
};
use serde_json::{Value, json};

use crate::{
    Options, RequestRecord,
    auth::AuthCheck,
    body::Body,
    condition, cursor,
    data::{Table, with_invented},
    fault::{Accident, Schedule},
    login::Login,
    options::Ending,
    page::Maker,
    processing,
    random::{combine, hash_text},
    received::Received,
    refusal::Refusal,
    related::Related,
    route::{Route, Routes, same_request},
    sandbox::Counters,
    selector,
    server::{Handler, Reply},
    settings::Samples,
    token::{self, TokenEndpoint, TokenPolicy, TokenStore},
};

/// Records that the truth is sent in at once.
const TRUTH_CHUNK: usize = 1_000;

/// The records that a cursor selects: of which version of a table, which part of it, which range.
type View = ((u64, Range<usize>, cursor::Range), Arc<Table>);

/// Everything that the server knows.
pub(crate) struct Api {
    plan: Plan,
    options: Options,
    origin: String,
    pub(crate) tables: Vec<Arc<Table>>,
    /// The last selection of each route.
    views: Mutex<HashMap<usize, View>>,
    routes: Routes,
    related: Related,
    checks: Vec<AuthCheck>,
    endpoints: Vec<TokenEndpoint>,
    logins: Vec<Login>,
    tokens: Mutex<TokenStore>,
    faults: Mutex<Schedule>,
    log: Mutex<Vec<RequestRecord>>,
    /// How many requests of a method and path there have been.
    asked: Mutex<HashMap<(String, String), u64>>,
    /// How far the sandbox's clock is ahead.
    ahead: Mutex<Duration>,
    numbers: Numbers,
}

#[derive(Default)]
struct Numbers {
    connections: AtomicU64,
    requests: AtomicU64,
    token_requests: AtomicU64,
    pages: AtomicU64,
    records: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
    under_way: AtomicU64,
    most_under_way: AtomicU64,
}

impl Api {
    pub(crate) fn new(
        plan: &Plan,
        options: Options,
        samples: &Samples,
        origin: String,
    ) -> Result<Self, String> {
        let plan = &with_invented(plan);
        let mut endpoints = Vec::new();
        let mut logins = Vec::new();
        let mut checks = Vec::new();
        let mut known = Vec::new();
        let mut auths = Vec::new();
        for resource in &plan.resources {
            let auth = resource.endpoint.auth.as_ref().unwrap_or(&plan.client.auth);
            let number = known.iter().position(|other| *other == auth);
            auths.push(match number {
                Some(number) => number,
                None => {
                    known.push(auth);
                    checks.push(AuthCheck::new(auth, samples, &mut endpoints, &mut logins)?);
                    checks.len() - 1
                }
            });
        }
        let tables = plan
            .resources
            .iter()
            .map(|resource| {
                let sharing = sharing(plan, &resource.endpoint);
                Table::new(
                    &without_included(resource),
                    &options,
                    &choices(&sharing),
                    &sharing,
                )
                .map(Arc::new)
                .map_err(|error| format!("resource `{}`: {error}", resource.name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let api = Self {
            related: Related::new(plan, samples, options.seed),
            routes: Routes::new(plan, samples, &options, &checks, &auths)?,
            plan: plan.clone(),
            origin,
            tables,
            checks,
            endpoints,
            logins,
            tokens: Mutex::default(),
            views: Mutex::default(),
            faults: Mutex::new(Schedule::new(&options.faults, options.seed)),
            log: Mutex::default(),
            asked: Mutex::default(),
            ahead: Mutex::default(),
            numbers: Numbers::default(),
            options,
        };
        for (resource, (route, _)) in plan.resources.iter().zip(&api.routes.resources) {
            api.maker(&api.routes.routes[*route], None)
                .test()
                .map_err(|error| format!("resource `{}`: {error}", resource.name))?;
        }
        api.relate()?;
        Ok(api)
    }

    /// Works out which records belong to which values of parents.
    pub(crate) fn relate(&self) -> Result<(), String> {
        self.related.update(
            &self.plan,
            &|resource| self.truth(resource),
            &|number, count| self.tables[self.routes.resources[number].1].set(count),
        )
    }

    /// The records that a full read of a resource gives.
    pub(crate) fn truth(&self, resource: &str) -> Vec<Value> {
        self.reachable(resource)
            .into_iter()
            .flat_map(|range| self.kept(resource, range))
            .map(|record| {
                serde_json::from_slice(&record)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&record).into_owned().into())
            })
            .collect()
    }

    /// Whether a record says of itself that its row is to be deleted.
    pub(crate) fn is_marked(&self, resource: &str, record: &Value) -> bool {
        let mut resources = self.plan.resources.iter();
        let resource = resources.find(|known| known.name == resource);
        let Some(name) = resource.and_then(|resource| resource.merge.hard_delete.as_ref()) else {
            return false;
        };
        match record.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(marked)) => *marked,
            Some(_) => true,
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.log).clone()
    }

    pub(crate) fn is_token_path(&self, path: &str) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.path == path)
            || self.logins.iter().any(|login| login.path == path)
    }

    /// The table of a resource, by its name.
    pub(crate) fn table(&self, resource: &str) -> Option<&Table> {
        let number = self.number(resource)?;
        self.tables
            .get(self.routes.resources[number].1)
            .map(AsRef::as_ref)
    }

    fn number(&self, resource: &str) -> Option<usize> {
        self.plan
            .resources
            .iter()
            .position(|candidate| candidate.name == resource)
    }

    /// The records that a client reads which reads everything, in the order of its reading.
    pub(crate) fn reachable(&self, resource: &str) -> Vec<Range<usize>> {
        let Some(number) = self.number(resource) else {
            return Vec::new();
        };
        let (route, table) = self.routes.resources[number];
        let paginator = &self.plan.resources[number].endpoint.paginator;
        let len = self.tables[table].len();
        let pager = &self.routes.routes[route].pager;
        let reach = |window: Range<usize>| {
            let window = window.start.min(len)..window.end.min(len);
            window.start..window.start + pager.reachable(paginator, window.len())
        };
        match self.related.slots(table) {
            Some(slots) => slots.windows().map(reach).collect(),
            None => std::iter::once(reach(0..len)).collect(),
        }
    }

    /// The records of a table that a request can reach.
    fn window(&self, table: usize, slot: Option<usize>) -> Range<usize> {
        let len = self.tables[table].len();
        match (slot, self.related.slots(table)) {
            (Some(slot), Some(slots)) => {
                let window = slots.window(slot);
                window.start.min(len)..window.end.min(len)
            }
            _ => 0..len,
        }
    }

    /// The records that a client keeps which reads everything, in a part of what it can reach.
    pub(crate) fn kept(&self, resource: &str, range: Range<usize>) -> Vec<Bytes> {
        let (Some(number), Some(table)) = (self.number(resource), self.table(resource)) else {
            return Vec::new();
        };
        let mut records = table.records(range);
        if let Some(condition) =
            selector::condition(&self.plan.resources[number].endpoint.data_selector)
        {
            records.retain(|record| {
                serde_json::from_slice(record)
                    .is_ok_and(|record| selector::meets(&condition, &record))
            });
        }
        if let Some(filter) = &self.plan.resources[number].record_filter {
            records.retain(|record| {
                serde_json::from_slice(record)
                    .map_or(true, |record| condition::keeps(filter, &record))
            });
        }
        let route = self.routes.resources[number].0;
        if let Some(cursor) = &self.routes.routes[route].cursor {
            records.retain(|record| cursor.keeps(record));
        }
        let steps = &self.plan.resources[number].processing_steps;
        if steps.is_empty() {
            return records;
        }
        let records = records
            .iter()
            .filter_map(|record| serde_json::from_slice(record).ok())
            .flat_map(|record| processing::processed(steps, record));
        records.map(|record| record.to_string().into()).collect()
    }

    /// How many records a client keeps that reads everything.
    fn kept_count(&self, resource: &str) -> usize {
        let reachable = self.reachable(resource).into_iter();
        match self.number(resource) {
            Some(number) if chooses(&self.plan.resources[number]) => reachable
                .map(|range| self.kept(resource, range).len())
                .sum(),
            _ => reachable.map(|range| range.len()).sum(),
        }
    }

    pub(crate) fn expire_tokens(&self) {
        lock(&self.tokens).expire();
    }

    pub(crate) fn advance(&self, time: Duration) {
        *lock(&self.ahead) += time;
    }

    pub(crate) fn counters(&self) -> Counters {
        let read = |number: &AtomicU64| number.load(Ordering::SeqCst);
        let numbers = &self.numbers;
        Counters {
            connections: read(&numbers.connections),
            requests: read(&numbers.requests),
            token_requests: read(&numbers.token_requests),
            pages: read(&numbers.pages),
            records: read(&numbers.records),
            refused: read(&numbers.refused),
            faults: read(&numbers.faults),
            most_under_way: read(&numbers.most_under_way),
        }
    }

    fn maker<'a>(&'a self, route: &'a Route, slot: Option<usize>) -> Maker<'a> {
        let tables = route.content.iter();
        Maker {
            route,
            windows: tables.map(|(table, _)| self.window(*table, slot)).collect(),
            tables: self.tables.clone(),
            options: &self.options,
            origin: &self.origin,
        }
    }

    /// Leaves the records that the request's cursor asks for.
    fn select(&self, maker: &mut Maker<'_>, received: &Received<'_>) -> Result<(), Refusal> {
        let Some(cursor) = &maker.route.cursor else {
            return Ok(());
        };
        let range = cursor.range(received)?;
        for ((number, _), window) in maker.route.content.iter().zip(&mut maker.windows) {
            let table = &self.tables[*number];
            let wanted = (table.version(), window.clone(), range.clone());
            let mut views = lock(&self.views);
            let view = match views.get(number) {
                Some((known, view)) if *known == wanted => Arc::clone(view),
                _ => {
                    let records = table.records(window.clone());
                    let positions: Vec<usize> = cursor
                        .select(&records, &range)
                        .into_iter()
                        .map(|position| window.start + position)
                        .collect();
                    let view = Arc::new(table.view(&positions));
                    views.insert(*number, (wanted, Arc::clone(&view)));
                    view
                }
            };
            *window = 0..view.len();
            maker.tables[*number] = view;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::now() + *lock(&self.ahead)
    }

    /// An answer from outside, when there is one for this request.
    fn scripted(&self, request: &RequestRecord) -> Option<Reply> {
        let count = {
            let mut asked = lock(&self.asked);
            let key = (request.method.to_string(), request.path.clone());
            let count = asked.entry(key).or_default();
            *count += 1;
            *count
        };
        if let Some(responder) = &self.options.responder
            && let Some(answer) = responder(request, count)
        {
            return Some(answer.into());
        }
        let scripted = self.options.script.iter().find(|scripted| {
            scripted.method == request.method.as_str()
                && scripted.path == request.path
                && scripted.when.matches(count)
        })?;
        Some(scripted.answer.clone().into())
    }

    fn token(&self, request: &RequestRecord) -> Reply {
        count(&self.numbers.token_requests);
        let logins = self.logins.iter().enumerate();
        let mut refusal = None;
        for (number, login) in logins.filter(|(_, login)| login.path == request.path) {
            match login.admit(request) {
                Ok(()) => {
                    let lifetime = self.options.token_lifetime.min(login.lifetime);
                    let end = self.now() + lifetime;
                    let token = lock(&self.tokens).log_in(number, self.options.seed, end);
                    return Reply::json(StatusCode::OK, &login.answer(&token));
                }
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(refusal) = refusal {
            return refusal.reply();
        }
        let policy = TokenPolicy {
            lifetime: self.options.token_lifetime,
            expires_in: self.options.expires_in,
            rotate: self.options.rotate_refresh_tokens,
            seed: self.options.seed,
        };
        let mut tokens = lock(&self.tokens);
        token::answer(&self.endpoints, request, &mut tokens, policy, self.now())
    }

    fn data(&self, request: &RequestRecord) -> Result<Reply, Refusal> {
        let host = request.header(HOST.as_str()).unwrap_or_default();
        let port = self.origin.rsplit(':').next().unwrap_or_default();
        if self.origin.strip_prefix("http://") != Some(host) && host != format!("localhost:{port}")
        {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                "`Host` is not that of the sandbox",
            ));
        }
        let (route, slot) = self.route(request)?;
        let mut received = Received::new(request)?;
        received.path = route.values(&request.path).unwrap_or_default();
        let table = route.content[0].0;
        let mut maker = self.maker(route, slot);
        self.select(&mut maker, &received)?;
        let page = route
            .pager
            .read(&received, &maker.tables[table], &maker.windows[0])?;

        let accident = lock(&self.faults).next(fingerprint(request));
        if accident.is_some() {
            count(&self.numbers.faults);
        }
        let ending = match accident {
            Some(Accident::CutBody { chunked: true }) => Ending::CutChunked,
            Some(Accident::CutBody { chunked: false }) => Ending::CutLength,
            Some(Accident::RateLimited { date }) => {
                let after = if date {
                    // A date has whole seconds, so that this asks for up to one.
                    let time = std::time::SystemTime::now() + Duration::from_secs(1);
                    httpdate::fmt_http_date(time)
                } else {
                    "1".to_owned()
                };
                let refusal = Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "rate_limited",
                    "too many requests",
                );
                return Err(refusal.header(RETRY_AFTER, after));
            }
            Some(Accident::Unavailable) => {
                return Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "try again later",
                ));
            }
            Some(Accident::Slow(_)) | None => Ending::Whole,
        };
        let (mut reply, records) = maker.reply(request, page, ending);
        if let Some(Accident::Slow(milliseconds)) = accident {
            reply.delay = Duration::from_millis(milliseconds);
        }
        if ending == Ending::Whole {
            count(&self.numbers.pages);
            self.numbers.records.fetch_add(records, Ordering::SeqCst);
        }
        Ok(reply)
    }

    /// The route of a request that may be served.
    fn route(&self, request: &RequestRecord) -> Result<(&Route, Option<usize>), Refusal> {
        let on_path: Vec<&Route> = self
            .routes
            .routes
            .iter()
            .filter(|route| route.matches(&request.path))
            .collect();
        if on_path.is_empty() {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not_found",
                format!("nothing is at `{}`", request.path),
            ));
        }
        let mut methods: Vec<&str> = Vec::new();
        let mut refusal = None;
        for route in on_path {
            if route.method != request.method {
                methods.push(route.method.as_str());
                continue;
            }
            let tokens = lock(&self.tokens);
            let checked = self.checks[route.auth]
                .check(request, &tokens, self.now())
                .and_then(|()| {
                    let mut received = Received::new(request)?;
                    received.path = route.values(&request.path).unwrap_or_default();
                    route.check(&received)?;
                    self.slot(route, &received)
                });
            match checked {
                Ok(slot) => return Ok((route, slot)),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            methods.dedup();
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("`{}` is not served at this path", request.method),
            )
            .header(ALLOW, methods.join(", "))
        }))
    }

    /// The partition that a request is for, when its resource has any.
    fn slot(&self, route: &Route, received: &Received<'_>) -> Result<Option<usize>, Refusal> {
        let table = route.content[0].0;
        if self.related.slots(table).is_none() {
            return Ok(None);
        }
        let slot = self.related.slot(table, received);
        slot.map(Some).ok_or_else(|| {
            let text = "no record of a parent has these values";
            Refusal::new(StatusCode::NOT_FOUND, "not_found", text)
        })
    }

    /// What is true, for checks that run outside: no credentials are asked for.
    fn about(self: &Arc<Self>, path: &str) -> Option<Reply> {
        let rest = path.strip_prefix("/_sandbox/")?;
        if rest == "counters" {
            return Some(Reply::json(StatusCode::OK, &self.counters().to_json()));
        }
        let rest = rest.strip_prefix("truth")?;
        if rest.is_empty() {
            let all: serde_json::Map<String, Value> = self
                .plan
                .resources
                .iter()
                .map(|resource| {
                    let about = json!({
                        "count": self.kept_count(&resource.name),
                        "records": format!("/_sandbox/truth/{}", resource.name),
                    });
                    (resource.name.clone(), about)
                })
                .collect();
            return Some(Reply::json(StatusCode::OK, &Value::Object(all)));
        }
        let resource = rest.strip_prefix('/')?.to_owned();
        self.table(&resource)?;
        let api = Arc::clone(self);
        let mut ranges = self.reachable(&resource).into_iter();
        let mut rest = 0..0;
        let body = Body::streamed(Box::new(move || {
            let mut records = Vec::new();
            // A chunk of which nothing is kept does not end the truth.
            while records.len() < TRUTH_CHUNK {
                if rest.is_empty() {
                    let Some(next) = ranges.next() else { break };
                    rest = next;
                    continue;
                }
                let end = (rest.start + TRUTH_CHUNK).min(rest.end);
                records.extend(api.kept(&resource, rest.start..end));
                rest.start = end;
            }
            let mut lines = Vec::new();
            for record in &records {
                // A line break outside of texts, where it has to be escaped, means nothing.
                lines.extend(record.iter().map(|&byte| match byte {
                    b'\n' | b'\r' => b' ',
                    byte => byte,
                }));
                lines.push(b'\n');
            }
            (!lines.is_empty()).then(|| Bytes::from(lines))
        }));
        let mut reply = Reply::new(StatusCode::OK, "application/x-ndjson", []);
        *reply.response.body_mut() = body;
        Some(reply)
    }
}

/// Whether a client may come to another number of records than it received.
fn chooses(resource: &Resource) -> bool {
    resource.record_filter.is_some()
        || !resource.processing_steps.is_empty()
        || resource.incremental.is_some()
        || selector::condition(&resource.endpoint.data_selector).is_some()
}

/// A resource as its API sees it: what its children get from it stays out of their records.
fn without_included(resource: &Resource) -> Resource {
    let mut resource = resource.clone();
    let included: Vec<String> = resource
        .relations
        .included()
        .map(|include| include.column.clone())
        .collect();
    resource
        .fields
        .retain(|field| !included.contains(&field.name));
    if let Some(incremental) = &resource.incremental {
        cursor::require(&mut resource.fields, &incremental.cursor);
    }
    resource
}

/// The server's side of an [`Api`].
pub(crate) struct Front(pub(crate) Arc<Api>);

impl Handler for Front {
    fn connected(&self) {
        count(&self.0.numbers.connections);
    }

    fn answer(&self, request: RequestRecord) -> Reply {
        let api = &self.0;
        if request.path.starts_with("/_sandbox/") {
            return api.about(&request.path).unwrap_or_else(|| {
                Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such resource").reply()
            });
        }
        count(&api.numbers.requests);
        let reply = if let Some(reply) = api.scripted(&request) {
            reply
        } else if api.is_token_path(&request.path) {
            api.token(&request)
        } else {
            api.data(&request).unwrap_or_else(|refusal| {
                if refusal.status.is_client_error()
                    && refusal.status != StatusCode::TOO_MANY_REQUESTS
                {
                    count(&api.numbers.refused);
                }
                refusal.reply()
            })
        };
        if api.options.keep_requests {
            lock(&api.log).push(request);
        }
        reply
    }

    fn begun(&self) {
        let numbers = &self.0.numbers;
        let now = count(&numbers.under_way);
        numbers.most_under_way.fetch_max(now, Ordering::SeqCst);
    }

    fn ended(&self) {
        self.0.numbers.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The resources that are made from the records of the same requests.
fn sharing<'p>(plan: &'p Plan, endpoint: &Endpoint) -> Vec<&'p Resource> {
    let same = |other: &&Resource| {
        same_request(&other.endpoint, endpoint)
            && selector::steps(&other.endpoint.data_selector)
                == selector::steps(&endpoint.data_selector)
    };
    plan.resources.iter().filter(same).collect()
}

/// What the filters of resources choose by.
fn choices(sharing: &[&Resource]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for resource in sharing {
        for (field, texts) in processing::choices(resource) {
            match all.iter_mut().find(|(name, _)| *name == field) {
                Some((_, known)) => {
                    known.extend(texts);
                    known.sort_unstable();
                    known.dedup();
                }
                None => all.push((field, texts)),
            }
        }
    }
    all
}

/// What makes a request the same as another, whatever token it carries.
fn fingerprint(request: &RequestRecord) -> u64 {
    let mut print = hash_text(&request.path);
    for (name, value) in &request.query {
        print = combine(combine(print, hash_text(name)), hash_text(value));
    }
    for (name, value) in &request.headers {
        if name != AUTHORIZATION {
            let value = String::from_utf8_lossy(value.as_bytes());
            print = combine(combine(print, hash_text(name.as_str())), hash_text(&value));
        }
    }
    combine(print, hash_text(&String::from_utf8_lossy(&request.body)))
}

fn count(number: &AtomicU64) -> u64 {
    number.fetch_add(1, Ordering::SeqCst) + 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
