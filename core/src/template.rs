//! The values of templates: settings, partitions and responses put into the spec's texts.

use connector_plan::{Expression, Lookup, Part, Root, Template};

use crate::expression::{View, evaluate as evaluate_jinja};
use crate::paging::show_from;
use crate::{Error, ErrorKind, Json, Result, Secret, Settings};

/// What templates can see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub settings: Option<&'a Settings>,
    pub partition: Option<&'a Json>,
    /// The window of the cursor.
    pub interval: Option<&'a Json>,
}

impl<'a> Scope<'a> {
    fn view(self) -> View<'a> {
        View {
            settings: self.settings,
            partition: self.partition,
            interval: self.interval,
            ..View::default()
        }
    }
}

/// The value of a template, and whether a secret went into it.
#[derive(Clone, PartialEq)]
pub(crate) struct Rendered {
    pub value: Json,
    /// The texts in it that no message may have.
    pub secrets: Vec<Secret>,
}

impl Rendered {
    /// The value as text; null has none.
    pub(crate) fn text(&self) -> Option<String> {
        to_text(&self.value)
    }

    /// A value that came from one expression.
    fn of(value: Json, secret: bool) -> Self {
        let mut secrets = Vec::new();
        if secret {
            collect_texts(&value, &mut secrets);
        }
        Self { value, secrets }
    }
}

fn collect_texts(value: &Json, texts: &mut Vec<Secret>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Json::Object(members) => {
            members
                .values()
                .for_each(|value| collect_texts(value, texts));
        }
        Json::Null | Json::Bool(_) => {}
        Json::String(_) | Json::Number(_) => {
            texts.extend(to_text(value).map(Secret::from));
        }
    }
}

/// A JSON value as a request parameter writes it; null has no text.
pub(crate) fn to_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value of a template.
pub(crate) fn render(template: &Template, scope: Scope<'_>) -> Result<Rendered> {
    match template {
        Template::Literal(value) => Ok(Rendered::of(value.clone(), false)),
        Template::Expression(expression) => evaluate(expression, scope),
        Template::Parts(parts) => {
            let mut text = String::new();
            let mut secrets = Vec::new();
            for part in parts {
                match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Expression(expression) => {
                        let mut rendered = evaluate(expression, scope)?;
                        secrets.append(&mut rendered.secrets);
                        text.push_str(&rendered.text().ok_or_else(|| null(expression))?);
                    }
                }
            }
            if !secrets.is_empty() {
                secrets.push(Secret::from(text.as_str()));
            }
            Ok(Rendered {
                value: Json::String(text),
                secrets,
            })
        }
        Template::Object(members) => {
            let mut secrets = Vec::new();
            let members = members.iter().map(|member| {
                let mut rendered = render(&member.value, scope)?;
                secrets.append(&mut rendered.secrets);
                Ok((member.name.clone(), rendered.value))
            });
            Ok(Rendered {
                value: Json::Object(members.collect::<Result<_>>()?),
                secrets,
            })
        }
        Template::List(elements) => {
            let mut secrets = Vec::new();
            let elements = elements.iter().map(|element| {
                let mut rendered = render(element, scope)?;
                secrets.append(&mut rendered.secrets);
                Ok(rendered.value)
            });
            Ok(Rendered {
                value: Json::Array(elements.collect::<Result<_>>()?),
                secrets,
            })
        }
    }
}

/// The text of a template that must have one.
pub(crate) fn render_text(template: &Template, scope: Scope<'_>) -> Result<(String, bool)> {
    let rendered = render(template, scope)?;
    let text = rendered
        .text()
        .ok_or_else(|| match template.expressions().next() {
            Some(expression) => null(expression),
            None => Error::new(ErrorKind::Configuration, "a text of the spec is null"),
        })?;
    Ok((text, !rendered.secrets.is_empty()))
}

/// The path of an endpoint: the spec's own text as it is, the values in it percent-encoded; what
/// is secret in it is given away to be learned.
pub(crate) fn render_path(
    template: &Template,
    scope: Scope<'_>,
    learn: impl Fn(&Secret),
) -> Result<String> {
    let parts = match template {
        Template::Parts(parts) => parts,
        Template::Expression(expression) => &vec![Part::Expression(expression.clone())],
        Template::Literal(_) | Template::Object(_) | Template::List(_) => {
            return Ok(render_text(template, scope)?.0);
        }
    };
    let mut path = String::new();
    for part in parts {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Expression(expression) => {
                let rendered = evaluate(expression, scope)?;
                rendered.secrets.iter().for_each(&learn);
                let text = rendered.text().ok_or_else(|| null(expression))?;
                if matches!(text.as_str(), "" | "." | "..") {
                    return Err(Error::new(
                        ErrorKind::Source,
                        format!(
                            "`{}` is `{text}`, which is no path segment",
                            name(expression)
                        ),
                    ));
                }
                path.extend(percent_encoding::utf8_percent_encode(&text, PATH_VALUE));
            }
        }
    }
    Ok(path)
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
pub(crate) const PATH_VALUE: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn evaluate(expression: &Expression, scope: Scope<'_>) -> Result<Rendered> {
    match expression {
        Expression::Lookup(lookup) => look_up(lookup, scope),
        Expression::Jinja(jinja) => {
            let value = evaluate_jinja(jinja, &scope.view())?;
            Ok(Rendered::of(value, jinja.is_secret()))
        }
        other => Err(Error::new(
            ErrorKind::Internal,
            format!("this runtime cannot evaluate the expression {other:?}"),
        )),
    }
}

fn look_up(lookup: &Lookup, scope: Scope<'_>) -> Result<Rendered> {
    let is_known = match lookup.root {
        Root::Config | Root::Secrets => scope.settings.is_some(),
        Root::Partition => scope.partition.is_some(),
        Root::Interval => scope.interval.is_some(),
        _ => false,
    };
    if !is_known {
        return Err(unavailable(lookup));
    }
    let value = scope.view().look_up(lookup).unwrap_or_default();
    Ok(Rendered::of(value, lookup.root == Root::Secrets))
}

fn name(expression: &Expression) -> String {
    let lookup = match expression {
        Expression::Lookup(lookup) => lookup,
        Expression::Jinja(jinja) => return jinja.source.clone(),
        _ => return "the expression".to_owned(),
    };
    let root = format!("{:?}", lookup.root).to_lowercase();
    show_from(&root, &lookup.path)
}

fn null(expression: &Expression) -> Error {
    Error::new(
        ErrorKind::Source,
        format!("`{}` has no value", name(expression)),
    )
}

fn unavailable(lookup: &Lookup) -> Error {
    let name = name(&Expression::Lookup(lookup.clone()));
    Error::new(ErrorKind::Internal, format!("`{name}` is not known here"))
}

#[cfg(test)]
mod tests {
    use connector_plan::Step;
    use serde_json::json;

    use super::*;

    fn lookup(root: Root, keys: &[&str], default: Option<Json>) -> Expression {
        let path = keys
            .iter()
            .map(|key| Step::Key((*key).to_owned()))
            .collect();
        Expression::Lookup(Lookup {
            root,
            path,
            default,
        })
    }

    #[test]
    fn a_single_expression_keeps_its_type_and_parts_make_text() -> Result<()> {
        let settings = Settings::new()
            .with("days", 30)
            .with("key", Secret::from("canary"));
        let scope = Scope {
            settings: Some(&settings),
            ..Scope::default()
        };
        let days = Template::Expression(lookup(Root::Config, &["days"], None));
        assert_eq!(render(&days, scope)?.value, json!(30));
        let text = Template::Parts(vec![
            Part::Text("Key ".into()),
            Part::Expression(lookup(Root::Secrets, &["key"], None)),
        ]);
        assert_eq!(render_text(&text, scope)?, ("Key canary".to_owned(), true));
        let default = Template::Expression(lookup(Root::Config, &["none"], Some(json!(7))));
        assert_eq!(render(&default, scope)?.value, json!(7));
        Ok(())
    }

    #[test]
    fn path_values_are_encoded_and_must_exist() {
        let partition = json!({"id": "a/b?c#d e", "up": "..", "no": null});
        let scope = Scope {
            partition: Some(&partition),
            ..Scope::default()
        };
        let path = |key: &str| {
            let template = Template::Parts(vec![
                Part::Text("/files/".into()),
                Part::Expression(lookup(Root::Partition, &[key], None)),
            ]);
            render_path(&template, scope, |_| {}).map_err(|error| error.to_string())
        };
        assert_eq!(path("id"), Ok("/files/a%2Fb%3Fc%23d%20e".into()));
        assert_eq!(
            path("up"),
            Err("`partition.up` is `..`, which is no path segment".into())
        );
        assert_eq!(path("no"), Err("`partition.no` has no value".into()));
        assert_eq!(path("gone"), Err("`partition.gone` has no value".into()));
    }
}
