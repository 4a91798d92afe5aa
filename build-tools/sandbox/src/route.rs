//! Which requests of the plan there are, and what each has to bring.

use connector_plan::{
    Body, Endpoint, Incremental, Method, Part, Path, Plan, Resource, Target, Template,
};
use hyper::header::HeaderName;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    Options,
    auth::AuthCheck,
    cursor::Cursor,
    paging::Pager,
    random::{combine, hash_text},
    received::{Received, values_of},
    refusal::Refusal,
    selector,
    settings::{Samples, text_of},
};

/// Stands for an expression in a path; no URL has it.
const HOLE: char = '\u{1}';

/// One request of the plan, with every resource that sends it.
pub(crate) struct Route {
    pub(crate) method: hyper::Method,
    /// The path's segments, decoded, each as the texts around its expressions.
    segments: Vec<Vec<String>>,
    /// The names of the path's expressions, in order; empty for those that no parent names.
    names: Vec<String>,
    params: Vec<(String, Expect)>,
    headers: Vec<(HeaderName, Expect)>,
    body: ExpectedBody,
    /// Query parameters beside `params` that may be there.
    allowed: Vec<String>,
    pub(crate) auth: usize,
    pub(crate) pager: Pager,
    /// Which tables are in a page, and where.
    pub(crate) content: Vec<(usize, Path)>,
    /// How pages are written.
    pub(crate) response: connector_plan::ResponseBody,
    /// The names of the record's fields.
    pub(crate) columns: Vec<String>,
    /// The endpoint, to tell the same request again.
    endpoint: Endpoint,
    incremental: Option<Incremental>,
    /// The cursor by which it selects records.
    pub(crate) cursor: Option<Cursor>,
}

/// What a constant of the plan has to be in a request.
#[derive(Debug, PartialEq)]
enum Expect {
    /// Exactly these texts, in this order.
    Exactly(Vec<String>),
    /// Something, when it has to be there at all.
    Something { required: bool },
}

enum ExpectedBody {
    Nothing,
    Json(Vec<(String, Option<Value>)>, Vec<Vec<String>>),
    Form(Vec<(String, Expect)>, Vec<String>),
}

/// Every route of a plan.
pub(crate) struct Routes {
    pub(crate) routes: Vec<Route>,
    /// The route and the table of each resource.
    pub(crate) resources: Vec<(usize, usize)>,
}

impl Routes {
    /// Builds the routes; `auths` gives the number of the check that a resource needs.
    pub(crate) fn new(
        plan: &Plan,
        samples: &Samples,
        options: &Options,
        checks: &[AuthCheck],
        auths: &[usize],
    ) -> Result<Self, String> {
        let mut built = Self {
            routes: Vec::new(),
            resources: Vec::new(),
        };
        for (table, resource) in plan.resources.iter().enumerate() {
            let steps = &selector::steps(&resource.endpoint.data_selector)
                .map_err(|error| format!("resource `{}`: {error}", resource.name))?;
            let same = built.routes.iter().position(|route| {
                same_request(&route.endpoint, &resource.endpoint)
                    && route.incremental == resource.incremental
            });
            let number = if let Some(number) = same {
                number
            } else {
                let number = built.routes.len();
                let auth = auths[table];
                let route = Route::new(plan, resource, samples, options, &checks[auth], auth)
                    .map_err(|error| format!("resource `{}`: {error}", resource.name))?;
                built.routes.push(route);
                number
            };
            let content = &mut built.routes[number].content;
            // Resources that take the same records out of a page share them.
            let shared = content.iter().find(|(_, path)| path == steps);
            let table = if let Some((shared, _)) = shared {
                *shared
            } else {
                content.push((table, steps.clone()));
                table
            };
            built.resources.push((number, table));
        }
        Ok(built)
    }
}

/// Whether two endpoints send the same requests.
pub(crate) fn same_request(a: &Endpoint, b: &Endpoint) -> bool {
    a.method == b.method
        && a.path == b.path
        && a.params == b.params
        && a.body == b.body
        && a.auth == b.auth
        && a.response == b.response
}

impl Route {
    fn new(
        plan: &Plan,
        resource: &Resource,
        samples: &Samples,
        options: &Options,
        check: &AuthCheck,
        auth: usize,
    ) -> Result<Self, String> {
        let endpoint = &resource.endpoint;
        let pager = Pager::new(
            endpoint,
            &selector::steps(&endpoint.data_selector)?,
            options,
            combine(options.seed, hash_text(&resource.name)),
        )?;
        let paged = |target: Target| pager.targets().any(|own| *own == target);

        let mut params: Vec<(String, Expect)> = Vec::new();
        for param in &endpoint.params {
            if !paged(Target::Query(param.name.clone())) {
                let what = format!("the parameter `{}`", param.name);
                params.push((
                    param.name.clone(),
                    Expect::new(&param.values, samples, &what)?,
                ));
            }
        }
        let mut headers: Vec<(HeaderName, Expect)> = Vec::new();
        for header in plan.client.headers.iter().chain(&endpoint.headers) {
            let name = HeaderName::from_bytes(header.name.as_bytes())
                .map_err(|_| format!("`{}` is not the name of a header", header.name))?;
            let value = std::slice::from_ref(&header.value);
            let expect = Expect::new(value, samples, &format!("the header `{name}`"))?;
            headers.retain(|(other, _)| *other != name);
            let is_paging = pager.targets().any(
                |target| matches!(target, Target::Header(own) if own.eq_ignore_ascii_case(name.as_str())),
            );
            if !is_paging {
                headers.push((name, expect));
            }
        }
        let ends: Vec<&Target> = Cursor::targets(resource.incremental.as_ref()).collect();
        let allowed = pager
            .targets()
            .filter_map(|target| match target {
                Target::Query(name) => Some(name.as_str()),
                _ => None,
            })
            .chain(ends.iter().filter_map(|target| match target {
                Target::Query(name) => Some(name.as_str()),
                _ => None,
            }))
            .chain(check.query())
            .chain(pager.link_param())
            .map(str::to_owned)
            .collect();
        Ok(Self {
            method: match endpoint.method {
                Method::Get => hyper::Method::GET,
                Method::Post => hyper::Method::POST,
            },
            segments: segments(&endpoint.path, samples)?,
            names: endpoint.path.expressions().map(name_of_value).collect(),
            params,
            headers,
            body: ExpectedBody::new(endpoint.body.as_ref(), &pager, &ends, samples)?,
            allowed,
            auth,
            pager,
            content: Vec::new(),
            response: endpoint.response.clone(),
            columns: resource.fields.iter().map(|f| f.name.clone()).collect(),
            endpoint: endpoint.clone(),
            incremental: resource.incremental.clone(),
            cursor: Cursor::new(resource, samples),
        })
    }

    /// Whether a path, still percent-encoded, is that of the route.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.values(path).is_some()
    }

    /// The values in a path by their names, when it is that of the route.
    pub(crate) fn values(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut values = Vec::new();
        let mut given = path.trim_start_matches('/').split('/');
        let mut expect = self.segments.iter();
        loop {
            match (given.next(), expect.next()) {
                (None, None) => break,
                (Some(given), Some(expect)) => {
                    let given = percent_decode_str(given).decode_utf8_lossy();
                    values.extend(segment_values(&given, expect)?);
                }
                _ => return None,
            }
        }
        Some(self.names.iter().cloned().zip(values).collect())
    }

    /// Refuses a request that lacks a constant of the plan or has something unknown.
    pub(crate) fn check(&self, received: &Received<'_>) -> Result<(), Refusal> {
        let query = &received.request.query;
        for (name, expect) in &self.params {
            expect.check(&values_of(query, name), &format!("the parameter `{name}`"))?;
        }
        let known = |name: &String| {
            self.params.iter().any(|(param, _)| param == name) || self.allowed.contains(name)
        };
        if let Some((name, _)) = query.iter().find(|(name, _)| !known(name)) {
            return Err(Refusal::parameter(format!("unknown parameter `{name}`")));
        }
        for (name, expect) in &self.headers {
            let values: Vec<&str> = received
                .request
                .headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap_or("?"))
                .collect();
            expect.check(&values, &format!("the header `{name}`"))?;
        }
        self.body.check(received)
    }

    /// The parameters that a link to the next page repeats.
    pub(crate) fn repeated<'a>(
        &'a self,
        query: &'a [(String, String)],
    ) -> impl Iterator<Item = &'a (String, String)> {
        let key = self.pager.link_param();
        query
            .iter()
            .filter(move |(name, _)| Some(name.as_str()) != key)
    }
}

impl Expect {
    fn new(values: &[Template], samples: &Samples, what: &str) -> Result<Self, String> {
        let mut texts = Vec::new();
        let mut free = false;
        let mut missing = false;
        for template in values {
            // Credentials have to be the sandbox's own; other settings may be anything.
            free |= template
                .expressions()
                .any(|expression| !reads_secrets(expression));
            // The client alone can compute an expression: it may be anything.
            if is_computed(template) {
                continue;
            }
            match samples.value(template, what)? {
                Value::Null => missing = true,
                value => texts.push(text_of(&value)),
            }
        }
        Ok(if free {
            Self::Something { required: !missing }
        } else {
            Self::Exactly(texts)
        })
    }

    fn check(&self, given: &[&str], what: &str) -> Result<(), Refusal> {
        match self {
            Self::Exactly(expect) if expect == given => Ok(()),
            Self::Something { required } if !(*required && given.is_empty()) => Ok(()),
            _ if given.is_empty() => Err(Refusal::parameter(format!("{what} is missing"))),
            Self::Exactly(_) => Err(Refusal::parameter(format!(
                "{what} is not what the spec says"
            ))),
            Self::Something { .. } => Err(Refusal::parameter(format!("{what} is missing"))),
        }
    }
}

/// Whether the value of a template is known to the client alone: computed rather than looked up,
/// or an end of what it wants to read.
fn is_computed(template: &Template) -> bool {
    template.expressions().any(|expression| match expression {
        connector_plan::Expression::Lookup(lookup) => lookup.root == connector_plan::Root::Interval,
        _ => true,
    })
}

fn reads_secrets(expression: &connector_plan::Expression) -> bool {
    matches!(
        expression,
        connector_plan::Expression::Lookup(lookup) if lookup.root == connector_plan::Root::Secrets
    )
}

impl ExpectedBody {
    fn new(
        body: Option<&Body>,
        pager: &Pager,
        ends: &[&Target],
        samples: &Samples,
    ) -> Result<Self, String> {
        let mut json = Vec::new();
        let mut form = Vec::new();
        for target in pager.targets().chain(ends.iter().copied()) {
            match target {
                Target::Json(path) => json.push(path.clone()),
                Target::Form(name) => form.push(name.clone()),
                _ => {}
            }
        }
        let what = |name: &str| format!("the member `{name}` of the body");
        Ok(match body {
            Some(Body::Form(fields)) => {
                let mut expect = Vec::new();
                for field in fields.iter().filter(|field| !form.contains(&field.name)) {
                    let value = std::slice::from_ref(&field.value);
                    expect.push((
                        field.name.clone(),
                        Expect::new(value, samples, &what(&field.name))?,
                    ));
                }
                Self::Form(expect, form)
            }
            None if !form.is_empty() => Self::Form(Vec::new(), form),
            None if json.is_empty() => Self::Nothing,
            None => Self::Json(Vec::new(), json),
            Some(Body::Json(members)) => {
                let mut expect = Vec::new();
                for member in members {
                    let value = if is_computed(&member.value) {
                        Value::Null
                    } else {
                        samples.value(&member.value, &what(&member.name))?
                    };
                    let free = member.value.expressions().any(|e| !reads_secrets(e));
                    expect.push((member.name.clone(), (!free).then_some(value)));
                }
                Self::Json(expect, json)
            }
        })
    }

    fn check(&self, received: &Received<'_>) -> Result<(), Refusal> {
        match self {
            Self::Nothing if received.request.body.is_empty() => Ok(()),
            Self::Nothing => Err(Refusal::parameter("the spec declares no body")),
            Self::Form(expect, paged) => {
                if received.json.is_some() {
                    return Err(Refusal::parameter("the body is not a form"));
                }
                for (name, expect) in expect {
                    let what = format!("the field `{name}` of the form");
                    expect.check(&values_of(&received.form, name), &what)?;
                }
                let known = |name: &String| {
                    paged.contains(name) || expect.iter().any(|(other, _)| other == name)
                };
                match received.form.iter().find(|(name, _)| !known(name)) {
                    Some((name, _)) => Err(Refusal::parameter(format!("unknown field `{name}`"))),
                    None => Ok(()),
                }
            }
            Self::Json(expect, paged) => check_json(received, expect, paged),
        }
    }
}

/// Compares a JSON body with the plan's, paging values left aside.
fn check_json(
    received: &Received<'_>,
    expect: &[(String, Option<Value>)],
    paged: &[Vec<String>],
) -> Result<(), Refusal> {
    let declared = |name: &str| expect.iter().find(|(other, _)| other == name);
    let Some(Value::Object(mut given)) = received.json.clone() else {
        if received.form.is_empty() && expect.is_empty() {
            return Ok(());
        }
        return Err(Refusal::parameter("the body is not a JSON object"));
    };
    for path in paged {
        remove(&mut given, path);
        if let [name, _, ..] = &path[..]
            && declared(name).is_none()
            && given
                .get(name)
                .and_then(Value::as_object)
                .is_some_and(serde_json::Map::is_empty)
        {
            given.remove(name);
        }
    }
    for (name, value) in expect {
        let mut given = given.remove(name);
        let mut value = value.clone();
        for path in paged.iter().filter(|path| path.first() == Some(name)) {
            for side in [&mut given, &mut value] {
                if let Some(Value::Object(object)) = side {
                    remove(object, &path[1..]);
                }
            }
        }
        let paged_itself = paged
            .iter()
            .any(|path| **path == *std::slice::from_ref(name));
        if value.is_some() && given != value && !paged_itself {
            return Err(Refusal::parameter(format!(
                "the member `{name}` of the body is not what the spec says"
            )));
        }
    }
    match given.keys().next() {
        Some(name) => Err(Refusal::parameter(format!(
            "unknown member `{name}` of the body"
        ))),
        None => Ok(()),
    }
}

fn remove(object: &mut serde_json::Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            object.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Object(inner)) = object.get_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

/// A path of the plan, in pieces.
fn segments(path: &Template, samples: &Samples) -> Result<Vec<Vec<String>>, String> {
    // Whatever reads something else than settings is refused here.
    if !is_computed(path) {
        samples.value(path, "the path")?;
    }
    let text = match path {
        Template::Literal(value) => text_of(value),
        Template::Expression(_) => HOLE.to_string(),
        Template::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expression(_) => HOLE.to_string(),
            })
            .collect(),
        Template::Object(_) | Template::List(_) => return Err("a path is a text".to_owned()),
    };
    let whole = samples
        .path_of(&text)
        .ok_or_else(|| format!("`{text}` has another origin than the base URL"))?;
    Ok(whole
        .trim_start_matches('/')
        .split('/')
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            decoded.split(HOLE).map(str::to_owned).collect()
        })
        .collect())
}

/// What a segment has between each two of these texts; nothing when it does not consist of them.
fn segment_values(given: &str, texts: &[String]) -> Option<Vec<String>> {
    let [first, middle @ .., last] = texts else {
        return texts
            .first()
            .is_some_and(|text| text == given)
            .then(Vec::new);
    };
    let mut values = Vec::new();
    let mut rest = given.strip_prefix(first.as_str())?;
    for text in middle {
        let start = rest.chars().next().map(char::len_utf8)?;
        let end = start + rest[start..].find(text.as_str())?;
        values.push(rest[..end].to_owned());
        rest = &rest[end + text.len()..];
    }
    let hole = rest.strip_suffix(last.as_str())?;
    values.push(hole.to_owned());
    (!hole.is_empty()).then_some(values)
}

/// The name under which a parent or the paginator gives a value of the path.
fn name_of_value(expression: &connector_plan::Expression) -> String {
    match expression {
        connector_plan::Expression::Lookup(lookup)
            if lookup.root == connector_plan::Root::Partition =>
        {
            match lookup.path.as_slice() {
                [connector_plan::Step::Key(name)] => name.clone(),
                _ => String::new(),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::segment_values;

    #[track_caller]
    fn check(given: &str, texts: &[&str], expect: Option<&[&str]>) {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let values = segment_values(given, &texts);
        let expect = expect.map(|values| values.iter().map(|&v| v.to_owned()).collect());
        assert_eq!(values, expect, "{given} {texts:?}");
    }

    #[test]
    fn segments_with_expressions() {
        check("files", &["files"], Some(&[]));
        check("file", &["files"], None);
        check("", &["", ""], None);
        check("a/b", &["", ""], Some(&["a/b"]));
        check("v1-x.json", &["v1-", ".json"], Some(&["x"]));
        check("v1-.json", &["v1-", ".json"], None);
        check("a:b", &["", ":", ""], Some(&["a", "b"]));
        check("a:", &["", ":", ""], None);
    }
}
