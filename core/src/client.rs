//! A connector's client: its plan, its settings and one set of credentials for all requests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connector_plan::{Auth, Body, Expression, Plan, Resource, Root, SettingRole, Step, Template};

use crate::auth::{AuthContext, Authenticator, CustomAuth, TokenMemory, TokenStore, authenticator};
use crate::body::BodyReader;
use crate::extract::Waiting;
use crate::http::{Actions, Limiter, RetryPolicy, Session, Transport, TransportOptions};
use crate::paging::CustomPaginator;
use crate::secret::Redactor;
use crate::settings::SettingSources;
use crate::template::Scope;
use crate::urls::{Site, is_loopback};
use crate::{Connector, Error, ErrorKind, Record, Request, Result, Settings};

/// The largest page body, in bytes after decompression.
const MAX_BODY: usize = 256 << 20;

/// A client of one API; clones share credentials and connections.
#[derive(Clone, Debug)]
pub struct Client(pub(crate) Arc<Inner>);

/// What all clones of a client share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub plan: Plan,
    pub settings: Settings,
    pub site: Site,
    pub redactor: Redactor,
    session: Arc<Session>,
    /// The sessions of resources that bring authentication, retry rules or actions of their own.
    own_sessions: BTreeMap<String, Arc<Session>>,
    pub paginators: BTreeMap<String, CustomPaginator>,
    pub limiter: Arc<Limiter>,
    /// The bodies of pages that wait for their turn.
    pub waiting: Arc<Waiting>,
}

/// What a program may choose about a client.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The longest wait before a retry, in place of a longer one of the spec.
    pub max_wait: Option<Duration>,
    /// The most requests under way at once, 1 to 256, in place of the spec's `concurrency`; with
    /// 1 they come one after the other.
    pub concurrency: Option<u32>,
    /// A PEM file of certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Where refresh tokens that the API replaces are kept; in memory by default. A program that is
    /// started again needs a lasting one, such as [`TokenFile`](crate::TokenFile).
    pub token_store: Option<Arc<dyn TokenStore>>,
    /// Authentication of the program's own, in place of the client's in the spec. Resources that
    /// have authentication of their own keep it.
    pub auth: Option<Arc<dyn crate::Auth>>,
    /// Paginators of the program's own, by the name of the resource, in place of the spec's.
    pub paginators: BTreeMap<String, CustomPaginator>,
    /// Where what is sent and what comes back is noted.
    pub trace: Option<crate::Trace>,
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// When a setting is missing, unknown or of the wrong type.
    pub fn new(connector: &Connector, settings: Settings) -> Result<Self> {
        Self::with_options(connector, settings, &ClientOptions::default())
    }

    /// A client with the settings of the environment, such as `STORAGE_CLIENT_ID`.
    ///
    /// # Errors
    /// When a setting is missing or of the wrong type.
    pub fn from_environment(connector: &Connector) -> Result<Self> {
        let plan = connector.plan()?;
        let configured = SettingSources::default().read(&plan, &|name| std::env::var(name).ok())?;
        Self::with_options(connector, configured.settings, &ClientOptions::default())
    }

    /// A client with these settings and options.
    ///
    /// # Errors
    /// When a setting is missing, unknown or of the wrong type.
    pub fn with_options(
        connector: &Connector,
        settings: Settings,
        options: &ClientOptions,
    ) -> Result<Self> {
        let plan = connector.plan()?;
        let settings = settings.complete(&plan)?;
        let redactor = Redactor::default();
        for secret in settings.secrets() {
            redactor.learn(secret);
        }
        let setting = |role| {
            let setting = plan.settings.iter().find(|setting| setting.role == role)?;
            settings.text(&setting.name)
        };
        let base = setting(SettingRole::BaseUrl).unwrap_or(&plan.client.base_url);
        let site = Site::new(&plan.client.base_url, base)?;
        let transport = Arc::new(Transport::new(
            TransportOptions {
                user_agent: format!("rivulet-{}/{}", connector.name, connector.version),
                timeouts: plan.client.timeouts,
                allowed_hosts: plan.client.allowed_hosts.clone(),
                max_body: MAX_BODY,
                ca_file: options.ca_file.clone(),
                loopback: is_loopback(site.base()),
                trace: options.trace.clone(),
            },
            redactor.clone(),
        )?);
        let home = site.base().origin();
        let declared_token_url = plan
            .settings
            .iter()
            .find(|setting| setting.role == SettingRole::TokenUrl);
        let tokens = options
            .token_store
            .clone()
            .unwrap_or_else(|| Arc::new(TokenMemory::default()));
        let make_auth = |auth: &Auth| -> Result<Arc<dyn Authenticator>> {
            let token_url = match auth {
                Auth::Oauth2(oauth2) => {
                    // The default of the setting is the spec's own URL, which moves with the base.
                    let declared = declared_token_url.and_then(|setting| setting.default.as_ref());
                    let chosen = setting(SettingRole::TokenUrl)
                        .filter(|url| declared.and_then(|url| url.as_str()) != Some(*url));
                    Some(match chosen {
                        Some(url) => url::Url::parse(url).map_err(|error| {
                            Error::new(ErrorKind::Configuration, "`token_url` is not a URL")
                                .caused_by(error)
                        })?,
                        None => site.moved(&oauth2.token_url)?,
                    })
                }
                Auth::SessionToken(login) => Some(site.endpoint(&login.login_path)?),
                _ => None,
            };
            let context = AuthContext {
                scope: Scope {
                    settings: Some(&settings),
                    ..Scope::default()
                },
                transport: Arc::clone(&transport),
                retry: RetryPolicy::new(plan.client.retry.clone(), options.max_wait),
                redactor: redactor.clone(),
                token_url,
                environment: environment_of(auth, &plan),
                tokens: Arc::clone(&tokens),
            };
            authenticator(auth, &context)
        };
        let environment = |resource: Option<&Resource>| {
            let own = resource.and_then(|resource| resource.endpoint.auth.as_ref());
            match own {
                Some(auth) => environment_of(auth, &plan),
                // A program's own authentication needs no settings.
                None if options.auth.is_some() => Vec::new(),
                None => environment_of(&plan.client.auth, &plan),
            }
        };
        let concurrency = options
            .concurrency
            .unwrap_or(plan.client.concurrency)
            .clamp(1, 256);
        let limiter = Arc::new(Limiter::new(concurrency, plan.client.rate_limit));
        let session =
            |auth: Arc<dyn Authenticator>, resource: Option<&Resource>, actions| Session {
                environment: environment(resource),
                transport: Arc::clone(&transport),
                auth,
                retry: RetryPolicy::new(
                    resource
                        .and_then(|resource| resource.endpoint.retry.clone())
                        .unwrap_or_else(|| plan.client.retry.clone()),
                    options.max_wait,
                ),
                limiter: Arc::clone(&limiter),
                actions,
                home: home.clone(),
            };
        let shared: Arc<dyn Authenticator> = match &options.auth {
            Some(auth) => Arc::new(CustomAuth::new(Arc::clone(auth), redactor.clone())),
            None => make_auth(&plan.client.auth)?,
        };
        let mut own_sessions = BTreeMap::new();
        for resource in &plan.resources {
            let auth = match &resource.endpoint.auth {
                Some(auth) => make_auth(auth)?,
                None if resource.endpoint.retry.is_some()
                    || !resource.endpoint.actions.is_empty() =>
                {
                    Arc::clone(&shared)
                }
                None => continue,
            };
            let reader = BodyReader::new(&resource.endpoint, &transport);
            let actions = Actions::new(&resource.endpoint.actions, &settings, reader)?;
            let session = session(auth, Some(resource), actions);
            own_sessions.insert(resource.name.clone(), Arc::new(session));
        }
        let session = Arc::new(session(shared, None, Actions::default()));
        let names: Vec<&str> = plan
            .resources
            .iter()
            .map(|resource| resource.name.as_str())
            .collect();
        for name in options.paginators.keys() {
            if plan.resource(name).is_none() {
                return Err(crate::cli::unknown_resource(name, &names));
            }
        }
        Ok(Self(Arc::new(Inner {
            plan,
            settings,
            site,
            redactor,
            session,
            own_sessions,
            paginators: options.paginators.clone(),
            limiter,
            waiting: Arc::default(),
        })))
    }

    /// The request for a resource's records.
    ///
    /// A name that the connector does not have is reported by the request's streams.
    #[must_use]
    pub fn request<R: Record>(&self, resource: &str) -> Request<R> {
        Request::new(self.clone(), resource.to_owned())
    }
}

impl Inner {
    pub(crate) fn session(&self, resource: &str) -> &Arc<Session> {
        self.own_sessions.get(resource).unwrap_or(&self.session)
    }

    pub(crate) fn resource(&self, name: &str) -> Result<&Resource> {
        self.plan.resource(name).ok_or_else(|| {
            let names: Vec<&str> = self
                .plan
                .resources
                .iter()
                .map(|resource| resource.name.as_str())
                .collect();
            crate::cli::unknown_resource(name, &names)
        })
    }
}

/// The environment names of the settings that an authentication uses.
fn environment_of(auth: &Auth, plan: &Plan) -> Vec<String> {
    let templates: Vec<&Template> = match auth {
        Auth::None => Vec::new(),
        Auth::Oauth2(oauth2) => std::iter::once(&oauth2.client_id)
            .chain(&oauth2.client_secret)
            .chain(oauth2.extra.iter().map(|field| &field.value))
            .chain(match &oauth2.grant {
                connector_plan::Grant::RefreshToken(token) => Some(token),
                connector_plan::Grant::JwtBearer(grant) => Some(&grant.key),
                connector_plan::Grant::ClientCredentials => None,
            })
            .collect(),
        Auth::Bearer { token } => vec![token],
        Auth::ApiKey { value, .. } => vec![value],
        Auth::HttpBasic { username, password } => vec![username, password],
        Auth::SessionToken(login) => {
            let body = match &login.body {
                Some(Body::Json(members) | Body::Form(members)) => members.as_slice(),
                None => &[],
            };
            let fields = login.headers.iter().chain(body);
            fields.map(|field| &field.value).collect()
        }
        _ => Vec::new(),
    };
    templates
        .into_iter()
        .flat_map(Template::expressions)
        .filter_map(|expression| match expression {
            Expression::Lookup(lookup) if matches!(lookup.root, Root::Config | Root::Secrets) => {
                match lookup.path.first() {
                    Some(Step::Key(name)) => plan.setting(name),
                    _ => None,
                }
            }
            _ => None,
        })
        .map(|setting| format!("`{}`", setting.environment))
        .fold(Vec::new(), |mut names, name| {
            if !names.contains(&name) {
                names.push(name);
            }
            names
        })
}
