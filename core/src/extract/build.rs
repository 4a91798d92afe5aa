//! The requests of a resource: the endpoint's templates with paging values put in.

use bytes::Bytes;
use connector_plan::{Body, BodyFormat, Method, Resource, ResponseBody, Target, Template};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::auth::{header_name, sensitive};
use crate::client::Inner;
use crate::cursor::Interval;
use crate::http::Request;
use crate::paging::Turn;
use crate::secret::{Redactor, Secret};
use crate::template::{Scope, render, render_path, render_text, to_text};
use crate::{Error, ErrorKind, Json, Result};

/// The part of a resource's requests that paging does not change.
#[derive(Debug)]
pub(super) struct RequestBuilder<'a> {
    method: http::Method,
    url: Place<'a>,
    params: Vec<(String, String)>,
    headers: HeaderMap,
    body: Option<RenderedBody>,
}

/// Where a resource is.
#[derive(Debug)]
enum Place<'a> {
    /// The same for every page.
    Fixed(Url),
    /// The path has paging values in it.
    Paged {
        client: &'a Inner,
        path: &'a Template,
        partition: Json,
        interval: Option<Json>,
    },
}

impl Place<'_> {
    /// The URL of the request that carries these paging values.
    fn url(&self, turn: &Turn) -> Result<Url> {
        let (client, path, partition, interval) = match self {
            Self::Fixed(url) => return Ok(url.clone()),
            Self::Paged {
                client,
                path,
                partition,
                interval,
            } => (client, path, partition, interval),
        };
        let mut values = partition.as_object().cloned().unwrap_or_default();
        for (target, value) in &turn.values {
            if let Target::Path(name) = target {
                values.insert(name.clone(), value.clone());
            }
        }
        let scope = Scope {
            settings: Some(&client.settings),
            partition: Some(&Json::Object(values)),
            interval: interval.as_ref(),
        };
        let learn = |secret: &Secret| client.redactor.learn_passing(secret);
        client.site.endpoint(&render_path(path, scope, learn)?)
    }
}

#[derive(Clone, Debug)]
enum RenderedBody {
    Json(Json),
    Form(Vec<(String, String)>),
}

impl<'a> RequestBuilder<'a> {
    pub(super) fn new(
        client: &'a Inner,
        resource: &'a Resource,
        partition: &Json,
        window: Option<&Interval>,
    ) -> Result<Self> {
        let partition = &with_window(partition, resource, window);
        let scope = Scope {
            settings: Some(&client.settings),
            partition: Some(partition),
            interval: window.map(|window| &window.values),
        };
        // Many of them differ from partition to partition.
        let learn = |secret: &Secret| client.redactor.learn_passing(secret);
        let endpoint = &resource.endpoint;
        let mut params = Vec::new();
        for param in &endpoint.params {
            for template in &param.values {
                let rendered = render(template, scope)?;
                if let Some(text) = rendered.text() {
                    rendered.secrets.iter().for_each(learn);
                    params.push((param.name.clone(), text));
                }
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept(&endpoint.response)));
        for header in client.plan.client.headers.iter().chain(&endpoint.headers) {
            let (text, secret) = render_text(&header.value, scope)?;
            if secret {
                learn(&Secret::from(text.as_str()));
            }
            headers.insert(
                header_name(&header.name)?,
                header_value(&header.name, &text, secret)?,
            );
        }
        let mut body = match &endpoint.body {
            None => None,
            Some(Body::Json(members)) => {
                let mut object = serde_json::Map::new();
                for member in members {
                    let rendered = render(&member.value, scope)?;
                    rendered.secrets.iter().for_each(learn);
                    object.insert(member.name.clone(), rendered.value);
                }
                Some(RenderedBody::Json(Json::Object(object)))
            }
            Some(Body::Form(fields)) => {
                let mut form = Vec::new();
                for field in fields {
                    let rendered = render(&field.value, scope)?;
                    rendered.secrets.iter().for_each(learn);
                    if let Some(text) = rendered.text() {
                        form.push((field.name.clone(), text));
                    }
                }
                Some(RenderedBody::Form(form))
            }
        };
        if let (Some(window), Some(plan)) = (window, &resource.incremental) {
            for (target, value) in [
                (&plan.start_target, &window.start),
                (&plan.end_target, &window.end),
            ] {
                if let (Some(target), Some(value)) = (target, value) {
                    put(target, value, &mut params, &mut headers, &mut body)?;
                }
            }
        }
        Ok(Self {
            method: match endpoint.method {
                Method::Get => http::Method::GET,
                Method::Post => http::Method::POST,
            },
            url: if endpoint
                .paginator
                .targets()
                .any(|target| matches!(target, Target::Path(_)))
            {
                Place::Paged {
                    client,
                    path: &endpoint.path,
                    partition: partition.clone(),
                    interval: window.map(|window| window.values.clone()),
                }
            } else {
                let path = render_path(&endpoint.path, scope, learn)?;
                Place::Fixed(client.site.endpoint(&path)?)
            },
            params,
            headers,
            body,
        })
    }

    /// A hash of what its requests have in common, without what is secret.
    pub(super) fn fingerprint(&self, redactor: &Redactor) -> String {
        let place = match &self.url {
            // Another port of a test server is another place, but no other resource.
            Place::Fixed(url) => format!("{} {:?}", url.path(), url.query()),
            Place::Paged {
                path,
                partition,
                interval,
                ..
            } => format!("{path:?} {partition} {interval:?}"),
        };
        // Secret headers show themselves as such.
        let text = format!(
            "{} {place} {:?} {:?} {:?}",
            self.method, self.params, self.headers, self.body
        );
        let text = redactor.redact(&text);
        format!("{:032x}", twox_hash::XxHash3_128::oneshot(text.as_bytes()))
    }

    /// The request that carries these paging values.
    pub(super) fn request(&self, turn: &Turn) -> Result<Request> {
        let mut url = match &turn.link {
            Some(link) => link.clone(),
            None => self.url.url(turn)?,
        };
        let mut headers = self.headers.clone();
        let mut body = self.body.clone();
        // A link brings its own query: the endpoint's parameters are in it already.
        let mut params = if turn.link.is_some() {
            Vec::new()
        } else {
            self.params.clone()
        };
        for (target, value) in &turn.values {
            put(target, value, &mut params, &mut headers, &mut body)?;
        }
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let body = body.map(|body| {
            let (content_type, bytes) = match body {
                RenderedBody::Json(json) => ("application/json", json.to_string()),
                RenderedBody::Form(form) => {
                    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
                    serializer.extend_pairs(form);
                    ("application/x-www-form-urlencoded", serializer.finish())
                }
            };
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
            Bytes::from(bytes)
        });
        Ok(Request {
            method: self.method.clone(),
            url,
            headers,
            body,
        })
    }
}

/// Puts a value where it belongs in a request, in place of what is there.
fn put(
    target: &Target,
    value: &Json,
    params: &mut Vec<(String, String)>,
    headers: &mut HeaderMap,
    body: &mut Option<RenderedBody>,
) -> Result<()> {
    match target {
        Target::Query(name) => {
            params.retain(|(known, _)| known != name);
            params.extend(to_text(value).map(|text| (name.clone(), text)));
        }
        Target::Header(name) => {
            let text = to_text(value).unwrap_or_default();
            headers.insert(header_name(name)?, header_value(name, &text, false)?);
        }
        Target::Json(path) => {
            let object = match body {
                Some(RenderedBody::Json(object)) => object,
                other => {
                    match other.insert(RenderedBody::Json(Json::Object(serde_json::Map::new()))) {
                        RenderedBody::Json(object) => object,
                        RenderedBody::Form(_) => return Ok(()),
                    }
                }
            };
            set(object, path, value.clone())?;
        }
        Target::Form(name) => {
            if !matches!(body, Some(RenderedBody::Form(_))) {
                *body = Some(RenderedBody::Form(Vec::new()));
            }
            if let Some(RenderedBody::Form(form)) = body {
                form.retain(|(known, _)| known != name);
                form.extend(to_text(value).map(|text| (name.clone(), text)));
            }
        }
        // It is in the URL already.
        Target::Path(_) => {}
    }
    Ok(())
}

/// The values of a partition, with the ends of the window under the names that the spec gives.
fn with_window(partition: &Json, resource: &Resource, window: Option<&Interval>) -> Json {
    let mut values = partition.clone();
    if let (Json::Object(values), Some(window), Some(plan)) =
        (&mut values, window, &resource.incremental)
    {
        let ends = ["start_value", "end_value"];
        for (name, end) in plan.names.iter().zip(ends) {
            if !values.contains_key(name) {
                values.insert(name.clone(), window.values[end].clone());
            }
        }
    }
    values
}

/// Sets a member of a JSON body, making the objects on the way.
fn set(body: &mut Json, path: &[String], value: Json) -> Result<()> {
    let mut place = body;
    for key in path {
        let Json::Object(object) = place else {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!(
                    "the JSON body has a value where `{}` needs an object",
                    path.join(".")
                ),
            ));
        };
        place = object
            .entry(key.clone())
            .or_insert_with(|| Json::Object(serde_json::Map::new()));
    }
    *place = value;
    Ok(())
}

fn header_value(name: &str, text: &str, secret: bool) -> Result<HeaderValue> {
    if secret {
        return sensitive(text);
    }
    HeaderValue::from_str(text).map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            format!("the value of header `{name}` has characters that no header may carry"),
        )
    })
}

/// What a request says that it takes; servers that know no better word send it anyway.
fn accept(response: &ResponseBody) -> &'static str {
    match response.format {
        _ if response.gzip => "*/*",
        BodyFormat::Json => "application/json",
        BodyFormat::Jsonl => "application/x-ndjson, application/jsonl, application/json;q=0.5",
        BodyFormat::Csv(_) => "text/csv, */*;q=0.5",
        BodyFormat::Xml => "application/xml, text/xml, */*;q=0.5",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn builder(body: Option<RenderedBody>) -> RequestBuilder<'static> {
        RequestBuilder {
            method: http::Method::GET,
            url: Place::Fixed("https://a/v1/files".parse().unwrap()),
            params: vec![("limit".into(), "5".into()), ("q".into(), "a b&c".into())],
            headers: HeaderMap::new(),
            body,
        }
    }

    #[test]
    fn paging_values_replace_parameters_of_the_same_name() -> Result<()> {
        let turn = Turn {
            values: vec![
                (Target::Query("offset".into()), json!(0)),
                (Target::Query("limit".into()), json!(100)),
            ],
            ..Turn::default()
        };
        let request = builder(None).request(&turn)?;
        assert_eq!(
            request.url.as_str(),
            "https://a/v1/files?q=a+b%26c&offset=0&limit=100"
        );
        Ok(())
    }

    #[test]
    fn a_link_is_asked_as_it_is() -> Result<()> {
        let turn = Turn {
            link: Some("https://a/next?c=1".parse().unwrap()),
            ..Turn::default()
        };
        assert_eq!(
            builder(None).request(&turn)?.url.as_str(),
            "https://a/next?c=1"
        );
        Ok(())
    }

    #[test]
    fn values_reach_nested_bodies_and_forms() -> Result<()> {
        let body = |body, target| {
            let turn = Turn {
                values: vec![(target, json!(7))],
                ..Turn::default()
            };
            let request = builder(body).request(&turn).unwrap();
            let bytes = request.body.unwrap();
            (
                request.headers[CONTENT_TYPE].to_str().unwrap().to_owned(),
                String::from_utf8(bytes.to_vec()).unwrap(),
            )
        };
        let json_body = RenderedBody::Json(json!({"page": {"size": 5}}));
        let target = Target::Json(vec!["page".into(), "number".into()]);
        assert_eq!(
            body(Some(json_body), target.clone()).1,
            r#"{"page":{"number":7,"size":5}}"#
        );
        assert_eq!(body(None, target).1, r#"{"page":{"number":7}}"#);
        let form = RenderedBody::Form(vec![("x".into(), "1 2".into())]);
        assert_eq!(
            body(Some(form), Target::Form("page".into())),
            (
                "application/x-www-form-urlencoded".into(),
                "x=1+2&page=7".into()
            )
        );
        Ok(())
    }
}
