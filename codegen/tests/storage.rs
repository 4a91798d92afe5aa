//! The storage connector's spec means what seed 000 says.

use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::{
    Auth, Expression, FieldType, Grant, Method, Paginator, Root, SettingRole, Step, Target,
    Template, WriteDisposition,
};

const SPEC: &str = include_str!("../../connectors/storage/spec.yaml");

fn secret(name: &str) -> Template {
    Template::Expression(Expression::Lookup(connector_plan::Lookup {
        root: Root::Secrets,
        path: vec![Step::Key(name.to_owned())],
        default: None,
    }))
}

#[test]
fn the_storage_spec_is_seed_000() {
    let source = Source::new("spec.yaml", SPEC);
    let (ir, warnings) =
        lower(&source, &LowerOptions::new("storage")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, []);
    let plan = ir.plan;
    assert_eq!(plan.client.base_url, "https://api.example.com");
    let Auth::Oauth2(oauth2) = &plan.client.auth else {
        panic!("{:?}", plan.client.auth);
    };
    assert_eq!(oauth2.token_url, "https://api.example.com/oauth/token");
    assert_eq!(oauth2.client_id, secret("client_id"));
    assert_eq!(oauth2.client_secret, Some(secret("client_secret")));
    assert_eq!(oauth2.grant, Grant::ClientCredentials);
    let retry = &plan.client.retry;
    assert_eq!(retry.statuses, [429, 500, 502, 503, 504]);
    assert_eq!((retry.max_retries, retry.backoff_factor), (3, 2.0));

    let settings: Vec<_> = plan
        .settings
        .iter()
        .map(|setting| (setting.environment.as_str(), setting.role, setting.secret))
        .collect();
    assert_eq!(
        settings,
        [
            ("STORAGE_BASE_URL", SettingRole::BaseUrl, false),
            ("STORAGE_TOKEN_URL", SettingRole::TokenUrl, false),
            ("STORAGE_CLIENT_ID", SettingRole::Input, true),
            ("STORAGE_CLIENT_SECRET", SettingRole::Input, true),
        ]
    );

    let [files] = plan.resources.as_slice() else {
        panic!("{} resources", plan.resources.len());
    };
    assert_eq!(files.name, "cloud_storage_files");
    assert_eq!(files.primary_key, ["file_id"]);
    assert_eq!(files.write_disposition, WriteDisposition::Merge);
    assert_eq!(files.endpoint.method, Method::Get);
    assert_eq!(files.endpoint.path, Template::text("/v1/files"));
    assert_eq!(
        files.endpoint.data_selector.steps,
        [Step::Key("files".to_owned())]
    );
    let Paginator::Offset(offset) = &files.endpoint.paginator else {
        panic!("{:?}", files.endpoint.paginator);
    };
    assert_eq!((offset.start, offset.limit), (0, Some(100)));
    assert_eq!(offset.offset, Target::Query("offset".to_owned()));
    assert_eq!(offset.limit_target, Some(Target::Query("limit".to_owned())));
    assert!(offset.stop.after_empty_page);
    assert_eq!(offset.stop.total, None);

    let timestamp = FieldType::Timestamp {
        formats: vec!["rfc3339".to_owned()],
    };
    let fields: Vec<_> = files
        .fields
        .iter()
        .map(|field| (field.name.as_str(), &field.field_type, field.nullable))
        .collect();
    assert_eq!(
        fields,
        [
            ("file_id", &FieldType::String, false),
            ("file_name", &FieldType::String, true),
            ("file_size", &FieldType::Integer, true),
            ("last_modified", &timestamp, true),
        ]
    );
    assert_eq!(ir.lines["resources.cloud_storage_files"], 22);
    assert_eq!(ir.lines["resources.cloud_storage_files.file_size"], 38);
    assert_eq!(ir.lines["settings.client_id"], 9);
}
