//! The requests of a resource.

use connector_plan::{
    Client, Endpoint, NamedTemplate, Paginator, ResponseBody, Selector, Template,
};

use super::Lowering;
use super::client::retry;
use super::request::{Request, is_absolute};
use super::url::Url;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{EndpointMapping, Key, PaginatorSpec};
use crate::words::quote;

impl Lowering<'_, '_> {
    /// The requests of a resource. A paginator of the client is used where the endpoint has none,
    /// and where that has none either, what the first response shows.
    pub(super) fn endpoint(
        &mut self,
        endpoint: &EndpointMapping,
        name: &str,
        client: &Client,
        default: &Key<PaginatorSpec>,
        blame: Span,
    ) -> Endpoint {
        let mut request = self.request(endpoint, name, blame);
        self.check_origin(&request, endpoint, client);
        // An endpoint's explicit null takes back the client's paginator.
        let paginator = match &endpoint.paginator {
            Key::Absent => default,
            own => own,
        };
        let paginator = paginator
            .get()
            .map(|spec| self.paginator(spec, &mut request));
        // What the paginator puts into the path is no longer free.
        self.fill_path(&mut request);
        // An item that is addressed by its own name is no list.
        let is_item = endpoint.data_selector.get().is_none() && request.is_one_item();
        let paginator = paginator.unwrap_or(match is_item {
            true => Paginator::SinglePage,
            false => Paginator::Auto,
        });
        let data_selector = match endpoint.data_selector.get() {
            Some(text) => self.selector(text),
            None => Selector {
                text: "$".to_owned(),
                ..Selector::default()
            },
        };
        let headers: Vec<NamedTemplate> = self.headers(endpoint.headers.get());
        let auth = endpoint
            .auth
            .given()
            .map(|given| self.auth(&given.value, given.key.span));
        let retry = endpoint.retry.get().map(|spec| retry(Some(spec)));
        let method = request.method;
        let path = request.path.clone();
        let (params, body) = request.finish();
        Endpoint {
            method,
            path,
            params,
            headers,
            body,
            data_selector,
            paginator,
            auth,
            retry,
            response: ResponseBody::default(),
            actions: Vec::new(),
        }
    }

    /// Checks that an absolute path leads to the API itself, or to a host that the spec lists.
    fn check_origin(&mut self, request: &Request, endpoint: &EndpointMapping, client: &Client) {
        let Some(written) = endpoint.path.get() else {
            return;
        };
        let first = match &request.path {
            Template::Parts(parts) => match parts.first() {
                Some(connector_plan::Part::Text(text)) => text,
                _ => return,
            },
            template => match template {
                Template::Literal(serde_json::Value::String(text)) => text,
                _ => return,
            },
        };
        if !is_absolute(first) {
            return;
        }
        let url = match Url::parse(first) {
            Ok(url) => url,
            Err(problem) => {
                if problem.contains("credentials") {
                    self.reporter.secrets.push(written.span);
                    self.invalid("the path holds credentials", written.span, problem);
                } else {
                    self.invalid(
                        format!("{} is not an absolute URL", quote(&written.value)),
                        written.span,
                        problem,
                    );
                }
                return;
            }
        };
        // An expression right behind the host would be part of the host.
        if matches!(request.path, Template::Parts(_)) && url.path.is_empty() {
            self.invalid(
                "the host of a path cannot be an expression",
                written.span,
                "the host must end before the first expression",
            );
            return;
        }
        let own = Url::parse(&client.base_url);
        let listed = client
            .allowed_hosts
            .iter()
            .any(|host| *host == url.host || *host == format!("{}:{}", url.host, url.port));
        if own.is_ok_and(|own| !own.same_origin(&url)) && !listed {
            self.report(
                Diagnostic::error(
                    code::OTHER_ORIGIN,
                    format!("{} is not the origin of `base_url`", quote(&url.host)),
                )
                .label(written.span, "another origin")
                .note("credentials go to the origin of `base_url` only; other hosts must be listed")
                .help(format!("write `allowed_hosts: [{}]` in `client`", url.host)),
            );
        }
    }
}
