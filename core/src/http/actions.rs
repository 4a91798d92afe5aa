//! What is done about some answers, as the spec says.

use connector_plan::{Action, Path, ResponseAction, ResponseBody, Root, Step, Wait};

use super::Response;
use crate::body::BodyReader;
use crate::expression::{Captured, Decision, View};
use crate::{Error, Result, Settings};

/// The actions of a resource; the first that fits an answer counts.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    rules: Vec<Rule>,
    settings: Option<Settings>,
    /// What the answers are, and the way to their records.
    body: ResponseBody,
    selector: Vec<Step>,
    /// The bytes that an answer may have when it is unpacked.
    limit: usize,
}

/// One action and what must be true of an answer.
#[derive(Debug)]
pub(crate) struct Rule {
    plan: ResponseAction,
    predicate: Option<Predicate>,
}

#[derive(Debug)]
struct Predicate {
    decision: Decision,
    paths: Vec<Path>,
}

impl Actions {
    /// These actions for answers that are read like this.
    pub(crate) fn new(
        plans: &[ResponseAction],
        settings: &Settings,
        reader: BodyReader<'_>,
    ) -> Result<Self> {
        let rule = |plan: &ResponseAction| {
            let predicate = plan.predicate.as_ref();
            let predicate = predicate.map(|condition| {
                Ok::<_, Error>(Predicate {
                    decision: Decision::new(condition, settings)?,
                    paths: condition.paths(Root::Response),
                })
            });
            Ok(Rule {
                plan: plan.clone(),
                predicate: predicate.transpose()?,
            })
        };
        Ok(Self {
            rules: plans.iter().map(rule).collect::<Result<_>>()?,
            settings: Some(settings.clone()),
            body: reader.plan.clone(),
            selector: reader.selector.to_vec(),
            limit: reader.limit,
        })
    }

    /// The action for an answer.
    pub(crate) fn find(&self, response: &Response) -> Result<Option<&Rule>> {
        let reader = BodyReader {
            plan: &self.body,
            selector: &self.selector,
            limit: self.limit,
        };
        for rule in &self.rules {
            if rule.fits(response, &reader, self.settings.as_ref())? {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }
}

impl Rule {
    pub(crate) fn action(&self) -> Action {
        self.plan.action
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.plan.message.as_deref()
    }

    pub(crate) fn waits(&self) -> &[Wait] {
        &self.plan.waits
    }

    fn fits(
        &self,
        response: &Response,
        reader: &BodyReader<'_>,
        settings: Option<&Settings>,
    ) -> Result<bool> {
        let plan = &self.plan;
        let status = response.status.as_u16();
        let statuses = &plan.statuses;
        if !statuses.is_empty() && !statuses.iter().any(|range| range.contains(status)) {
            return Ok(false);
        }
        let has = |header: &connector_plan::HeaderValueIs| {
            let values = response.headers.get_all(&header.name).into_iter();
            let mut values = values.filter_map(|value| value.to_str().ok());
            values.any(|value| value.trim() == header.value)
        };
        if !plan.headers.iter().all(has) {
            return Ok(false);
        }
        if let Some(content) = &plan.content
            && !reader.contains(response, content)
        {
            return Ok(false);
        }
        let Some(predicate) = &self.predicate else {
            return Ok(true);
        };
        let values = reader.capture(response, &predicate.paths);
        predicate.decision.holds(&View {
            settings,
            headers: Some(&response.headers),
            response: Captured {
                paths: &predicate.paths,
                values: &values,
            },
            ..View::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::{
        Comparison, Condition, HeaderValueIs, Lookup, Operand, Predicate as Plan, StatusRange, Step,
    };
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn plan() -> ResponseAction {
        ResponseAction {
            statuses: Vec::new(),
            headers: Vec::new(),
            content: None,
            predicate: None,
            action: Action::Ignore,
            message: None,
            waits: Vec::new(),
        }
    }

    #[track_caller]
    fn check(plan: &ResponseAction, status: u16, body: &str, expect: bool) {
        let mut headers = HeaderMap::new();
        headers.insert("x-reason", "quota".parse().unwrap());
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            url: "https://a/".parse().unwrap(),
            body: body.as_bytes().into(),
            ignored: false,
        };
        let reader = BodyReader {
            plan: &ResponseBody::default(),
            selector: &[],
            limit: 1_000,
        };
        let plans = std::slice::from_ref(plan);
        let actions = Actions::new(plans, &Settings::new(), reader).unwrap();
        let found = actions.find(&response).unwrap();
        assert_eq!(found.is_some(), expect, "{plan:?} of {status} {body}");
    }

    #[test]
    fn everything_that_an_action_says_must_be_true() {
        let range = |from, to| StatusRange { from, to };
        let statuses = ResponseAction {
            statuses: vec![range(404, 404), range(500, 599)],
            ..plan()
        };
        check(&statuses, 404, "", true);
        check(&statuses, 403, "", false);
        check(&statuses, 599, "", true);
        let content = ResponseAction {
            content: Some("Not found".into()),
            ..statuses.clone()
        };
        check(&content, 404, "{\"m\": \"Not found.\"}", true);
        check(&content, 404, "not found", false);
        check(&content, 200, "Not found", false);
        let header = |name: &str, value: &str| ResponseAction {
            headers: vec![HeaderValueIs {
                name: name.into(),
                value: value.into(),
            }],
            ..plan()
        };
        check(&header("x-reason", "quota"), 200, "", true);
        check(&header("x-reason", "quot"), 200, "", false);
        check(&header("x-other", "quota"), 200, "", false);
        let path = ["error", "code"].map(|key| Step::Key(key.into())).to_vec();
        let predicate = ResponseAction {
            predicate: Some(Condition::Predicate(Plan::Compare(
                Operand::Lookup(Lookup {
                    root: Root::Response,
                    path,
                    default: None,
                }),
                Comparison::Equal,
                Operand::Literal(json!(7)),
            ))),
            ..plan()
        };
        check(
            &predicate,
            200,
            r#"{"data": [1], "error": {"code": 7}}"#,
            true,
        );
        check(&predicate, 200, r#"{"error": {"code": 8}}"#, false);
        check(&predicate, 200, "<html>", false);
        check(&predicate, 200, "", false);
    }
}
