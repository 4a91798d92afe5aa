//! Plans to be served.

use connector_plan::{
    Auth, Client, ClientAuthentication, Endpoint, Expression, Field, FieldType, Grant, Lookup,
    Merge, Method, OAuth2, PLAN_VERSION, Paginator, Path, Plan, Resource, Retry, Root, Selector,
    Setting, SettingKind, SettingRole, Step, Template, Timeouts, WriteDisposition,
};

/// A plan with these resources, which anybody may read.
pub(crate) fn plan(resources: Vec<Resource>) -> Plan {
    Plan {
        version: PLAN_VERSION,
        name: "probe".to_owned(),
        description: String::new(),
        spec_hash: String::new(),
        settings: vec![
            setting("client_id", false),
            setting("client_secret", true),
            setting("key", true),
        ],
        client: Client {
            base_url: "https://api.example.com/base".to_owned(),
            headers: Vec::new(),
            auth: Auth::None,
            retry: Retry {
                statuses: Vec::new(),
                max_retries: 3,
                backoff_factor: 2.0,
                max_delay: 60.0,
                jitter: true,
                waits: Vec::new(),
            },
            rate_limit: None,
            timeouts: Timeouts {
                connect: 10.0,
                read: 60.0,
                total: 300.0,
            },
            concurrency: 4,
            allowed_hosts: Vec::new(),
        },
        resources,
    }
}

pub(crate) fn resource(name: &str, path: &str, selector: &str, paginator: Paginator) -> Resource {
    Resource {
        inferred: false,
        name: name.to_owned(),
        description: String::new(),
        selected: true,
        endpoint: Endpoint {
            method: Method::Get,
            path: Template::text(path),
            params: Vec::new(),
            headers: Vec::new(),
            body: None,
            data_selector: Selector {
                text: selector.to_owned(),
                steps: steps(selector),
                ..Selector::default()
            },
            paginator,
            auth: None,
            retry: None,
            response: connector_plan::ResponseBody::default(),
            actions: Vec::new(),
        },
        record_filter: None,
        processing_steps: Vec::new(),
        incremental: None,
        relations: connector_plan::Relations::default(),
        fields: vec![
            field("file_id", FieldType::String, false),
            field("file_name", FieldType::String, true),
            field("file_size", FieldType::Integer, true),
            field("last_modified", timestamp(), true),
        ],
        primary_key: vec!["file_id".to_owned()],
        contract: connector_plan::Contract::default(),
        write_disposition: WriteDisposition::Merge,
        merge: Merge::default(),
        layout: connector_plan::Layout::default(),
        identity: String::new(),
    }
}

pub(crate) fn timestamp() -> FieldType {
    FieldType::Timestamp {
        formats: vec!["rfc3339".to_owned()],
    }
}

pub(crate) fn field(name: &str, field_type: FieldType, nullable: bool) -> Field {
    Field {
        name: name.to_owned(),
        field_type,
        nullable,
        description: String::new(),
    }
}

/// Steps from `a.*.0.-1.b`.
pub(crate) fn steps(text: &str) -> Path {
    text.split('.')
        .filter(|step| !step.is_empty())
        .map(|step| match step.parse() {
            Ok(index) => Step::Index(index),
            Err(_) if step == "*" => Step::Wildcard,
            Err(_) => Step::Key(step.to_owned()),
        })
        .collect()
}

pub(crate) fn setting(name: &str, secret: bool) -> Setting {
    Setting {
        name: name.to_owned(),
        environment: name.to_uppercase(),
        role: SettingRole::Input,
        kind: SettingKind::String,
        secret,
        required: true,
        default: None,
        allowed: Vec::new(),
        description: String::new(),
    }
}

pub(crate) fn lookup(root: Root, name: &str) -> Template {
    Template::Expression(Expression::Lookup(Lookup {
        root,
        path: vec![Step::Key(name.to_owned())],
        default: None,
    }))
}

pub(crate) fn oauth2(grant: Grant, client_authentication: ClientAuthentication) -> OAuth2 {
    OAuth2 {
        grant,
        token_url: "https://api.example.com/oauth/token".to_owned(),
        client_id: lookup(Root::Config, "client_id"),
        client_secret: Some(lookup(Root::Secrets, "client_secret")),
        scopes: Vec::new(),
        extra: Vec::new(),
        client_authentication,
        default_expires_in: 3_600,
    }
}
