//! The page as a parser sees it: whatever the records hold, it is this markup and no other.

use std::collections::BTreeSet;

use connector_dataset::{ColumnChange, LoadReport, SchemaChange};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::run::{ErrorRecord, ResourceRecord, WaitRecord};

const HOSTILE: &str =
    "</script></style></title><svg onload=\"alert(1)\"><img src='https://x.example/'>&amp;\u{202e}";

/// A run that says `text` wherever a run can say anything.
fn run(text: &str, number: i64, status: RunStatus) -> RunRecord {
    let text = || text.to_owned();
    let error = ErrorRecord {
        kind: text(),
        message: text(),
        context: [(text(), text())].into(),
        causes: vec![text()],
        hints: vec![text()],
        ..ErrorRecord::default()
    };
    let started = DateTime::from_timestamp(1_800_000_000 + number * 3_600, 0);
    let published = ResourceRecord {
        name: text(),
        status: Status::Published,
        rows_read: 30,
        load: Some(LoadReport {
            inserted: 20,
            updated: 5,
            rows_written: 1_000 + number.unsigned_abs(),
            schema_changes: vec![SchemaChange {
                column: text(),
                change: ColumnChange::Added,
            }],
            ..LoadReport::default()
        }),
        cursor: Some(crate::runs::CursorRecord {
            field: text(),
            after: Some(crate::runs::CursorSpan {
                partitions: 2,
                lowest: text().into(),
                highest: text().into(),
            }),
            ..crate::runs::CursorRecord::default()
        }),
        warnings: vec![text()],
        ..ResourceRecord::default()
    };
    let mut failed = ResourceRecord {
        name: format!("{}2", text()),
        status: Status::Failed,
        error: Some(error.clone()),
        ..ResourceRecord::default()
    };
    failed.reading.waits = vec![WaitRecord {
        reason: text(),
        waits: 2,
        seconds: 3.5,
    }];
    failed.reading.waited_seconds = 3.5;
    RunRecord {
        run: text(),
        connector: text(),
        connector_version: text(),
        source: Some(SourceId::Origin(text())),
        status,
        started_at: started,
        finished_at: started,
        error: Some(error),
        warnings: vec![text()],
        resources: vec![published, failed],
        ..RunRecord::default()
    }
}

fn page(connector: &str, records: &[RunRecord]) -> String {
    let report = Report {
        connector,
        records,
        state: None,
        now: DateTime::from_timestamp(1_810_000_000, 0).unwrap(),
    };
    report.page()
}

/// What a page is made of.
#[derive(Debug, Default)]
struct Markup {
    elements: BTreeSet<String>,
    attributes: BTreeSet<String>,
    text: String,
    count: usize,
}

/// Parses the page as XML, which it is as well: every element ends where it should.
fn parse(page: &str) -> Markup {
    let mut reader = Reader::from_str(page);
    let mut markup = Markup::default();
    loop {
        let event = reader.read_event().unwrap();
        if let Event::Start(start) | Event::Empty(start) = &event {
            markup.elements.insert(start.name().as_ref().to_owned());
            markup.count += 1;
            for attribute in start.attributes() {
                let name = attribute.unwrap().key.as_ref().to_owned();
                markup.attributes.insert(name);
            }
        }
        match event {
            Event::Text(text) => markup.text.push_str(&text),
            Event::GeneralRef(name) => {
                markup.text.push_str(&format!("&{};", &*name));
            }
            Event::Eof => return markup,
            _ => {}
        }
    }
}

#[test]
fn hostile_names_and_messages_are_text() {
    let runs = |text| {
        let statuses = [RunStatus::Partial, RunStatus::Died, RunStatus::Succeeded];
        let runs = statuses.into_iter().zip(0..);
        runs.map(|(status, number)| run(text, number, status))
            .collect::<Vec<_>>()
    };
    let harmless = parse(&page("harmless", &runs("harmless")));
    let hostile = page(HOSTILE, &runs(HOSTILE));
    let markup = parse(&hostile);
    assert_eq!(markup.elements, harmless.elements);
    assert_eq!(markup.attributes, harmless.attributes);
    assert_eq!(markup.count, harmless.count);
    assert!(
        markup
            .text
            .contains("&lt;svg onload=&quot;alert(1)&quot;&gt;"),
        "it is shown"
    );
    assert!(!hostile.contains('\u{202e}'));
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing() {
    let markup = parse(&page("files", &[run("files", 0, RunStatus::Succeeded)]));
    for element in [
        "script", "img", "link", "iframe", "object", "use", "a", "form",
    ] {
        assert!(!markup.elements.contains(element), "{element}");
    }
    for attribute in &markup.attributes {
        assert!(
            !attribute.starts_with("on") && !["href", "src", "style"].contains(&attribute.as_str()),
            "{attribute}"
        );
    }
    let style = include_str!("style.css");
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(
        !style.contains(['<', '&']),
        "it would end, or begin, something else"
    );
}

#[test]
fn every_drawing_has_a_title_and_its_numbers_as_a_table() {
    let page = page("files", &[run("files", 0, RunStatus::Partial)]);
    let drawings = page.matches("<svg").count();
    let named = page
        .matches("<svg viewBox=\"0 0 720 220\" role=\"img\" aria-labelledby=")
        .count();
    let sparklines = page.matches("<svg class=\"spark\"").count();
    assert_eq!((drawings, sparklines), (named + sparklines, 2));
    assert_eq!(page.matches("<summary>As a table</summary>").count(), named);
    assert!(named >= 4, "{named}");
}

#[test]
fn few_runs_and_many_runs_make_a_page() {
    #[track_caller]
    fn check(runs: i64, texts: &[&str]) {
        let runs: Vec<RunRecord> = (0..runs)
            .map(|number| run("files", number, RunStatus::Succeeded))
            .collect();
        let page = page("storage", &runs);
        parse(&page);
        for text in texts {
            assert!(page.contains(text), "no {text:?}");
        }
        // Neither the number of bars nor that of lines grows without end.
        assert!(page.len() < 400_000, "{}", page.len());
    }
    check(
        1,
        &[
            "1 run since 2027-01-15",
            "each bar is a run",
            "1 of 1",
            "20 new, 5 updated",
        ],
    );
    check(
        90,
        &["90 runs since", "each bar is a run", "the last 90 in a row"],
    );
    check(
        900,
        &[
            "900 runs since",
            "each bar is a day of runs",
            "The newest 100 of 900",
        ],
    );
}

#[test]
fn what_the_last_run_says_is_told_first() {
    let good = RunRecord {
        status: RunStatus::Succeeded,
        ..RunRecord::default()
    };
    let nothing = "Nothing: the last run has neither errors nor warnings.";
    assert!(page("x", std::slice::from_ref(&good)).contains(nothing));
    let bad = run("the disk is full", 0, RunStatus::Partial);
    assert!(page("x", &[bad.clone(), good.clone()]).contains(nothing));
    let page = page("x", &[good, bad]);
    assert!(!page.contains(nothing));
    assert!(page.contains("<li><span class=\"bad\">the disk is full"));
}

#[test]
fn ages_are_told_as_people_would() {
    #[track_caller]
    fn check(seconds: i64, expect: &str) {
        let then = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(
            ago(then + chrono::TimeDelta::seconds(seconds), then),
            expect
        );
    }
    check(-5, "just now");
    check(59, "just now");
    check(3_000, "50 min ago");
    check(7_000, "2 h ago");
    check(86_400 * 3, "3 days ago");
}
