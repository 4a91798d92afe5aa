//! Conditions and Jinja: what they may look at, and what becomes of them.

use connector_plan::{Condition, Jinja, Operand, Predicate, Read, Root};

use super::Lowering;
use super::template::Purpose;
use crate::diagnostic::{Diagnostic, code};
use crate::expression::{Compiled, Found, Piece};
use crate::spec::Text;
use crate::words::{list, quote};
use crate::yaml;

/// When an expression is evaluated, which says what it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// After a page.
    Page,
    /// For each record.
    Record,
    /// For each record, when its partition is known.
    Step,
    /// For each answer, before it is a page.
    Answer,
}

impl Moment {
    fn sees(self) -> &'static [Root] {
        match self {
            Self::Page => &[
                Root::Response,
                Root::Headers,
                Root::LastRecord,
                Root::LastPageSize,
                Root::PageSize,
                Root::Config,
            ],
            Self::Record => &[Root::Record, Root::Config],
            Self::Step => &[Root::Record, Root::Partition, Root::Config],
            Self::Answer => &[Root::Response, Root::Headers, Root::Config],
        }
    }
}

impl Lowering<'_, '_> {
    /// A text that is exactly one expression, which is true or not.
    pub(super) fn condition(&mut self, text: &Text, moment: Moment) -> Option<Condition> {
        let pieces = self.pieces(&text.value, text.span);
        let condition = match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Lookup(found)]) => {
                self.see(&found, text, moment);
                let whole = found.path.is_empty();
                let single = matches!(found.root, Root::LastPageSize | Root::PageSize);
                if whole != single {
                    self.invalid(
                        "a condition looks into a variable",
                        text.span,
                        format!("name a member of {}", quote(&found.word)),
                    );
                }
                let lookup = if found.root == Root::Partition {
                    // A placeholder has a name of its own for it.
                    let (start, end) = (found.range.start, found.range.end);
                    let span = yaml::locate(self.reporter.text, text.span, &text.value, start, end);
                    self.resolve_partition(found, span)
                } else {
                    connector_plan::Lookup {
                        root: found.root,
                        path: found.path,
                        default: found.default,
                    }
                };
                Condition::Predicate(Predicate::Truth(Operand::Lookup(lookup)))
            }
            Ok([Piece::Jinja(compiled)]) => {
                let jinja = self.jinja(&compiled, text, moment);
                match compiled.predicate {
                    Some(predicate) => Condition::Predicate(predicate),
                    None => Condition::Jinja(jinja),
                }
            }
            // What is wrong inside the expression has been reported.
            Err(pieces) if pieces.is_empty() && !text.value.trim().is_empty() => return None,
            _ => {
                self.report(
                    Diagnostic::error(code::EXPRESSION, "a condition is exactly one expression")
                        .label(text.span, "text stands beside or instead of it")
                        .help("write `\"{{ record['type'] == 'file' }}\"`"),
                );
                return None;
            }
        };
        if let Condition::Predicate(predicate) = &condition
            && is_constant(predicate)
        {
            self.report(
                Diagnostic::error(code::EXPRESSION, "a condition that never changes")
                    .label(text.span, "it looks at nothing")
                    .help("remove it, or compare something"),
            );
        }
        Some(condition)
    }

    /// An expression of the full grammar, whose uses are checked.
    pub(super) fn jinja(&mut self, compiled: &Compiled, text: &Text, moment: Moment) -> Jinja {
        for found in &compiled.uses {
            self.see(found, text, moment);
        }
        plan(compiled)
    }

    /// Checks that an expression may look at this at that moment.
    pub(super) fn see(&mut self, found: &Found, text: &Text, moment: Moment) {
        let span = yaml::locate(
            self.reporter.text,
            text.span,
            &text.value,
            found.range.start,
            found.range.end,
        );
        if moment.sees().contains(&found.root) {
            if found.root == Root::Config {
                self.resolve_input(found, span, Purpose::Other);
            } else if found.root == Root::Partition {
                self.resolve_partition(found.clone(), span);
            }
            return;
        }
        let (message, label) = match (moment, found.root) {
            (_, Root::Secrets) => (
                "a secret in a condition, a cursor or a record",
                "secrets are for requests",
            ),
            (Moment::Page, Root::Record) => (
                "no record is at hand after a page",
                "did you mean `last_record`?",
            ),
            (Moment::Record | Moment::Step, Root::Response | Root::Headers | Root::LastRecord) => (
                "a record is judged by itself",
                "the page around it is not known here",
            ),
            _ => ("this is not known here", "not known at this moment"),
        };
        let mut names: Vec<&str> = crate::expression::names(moment.sees()).collect();
        names.dedup();
        self.report(
            Diagnostic::error(code::EXPRESSION, message)
                .label(span, label)
                .note(format!("known here: {}", list(&names, "and"))),
        );
    }
}

/// An expression as the plan has it.
pub(super) fn plan(compiled: &Compiled) -> Jinja {
    let mut reads: Vec<Read> = Vec::new();
    for found in &compiled.uses {
        let mut read = Read {
            root: found.root,
            path: found.path.clone(),
        };
        // A value is captured once, with all that is below it.
        if reads
            .iter()
            .any(|known| known.root == read.root && read.path.starts_with(&known.path))
        {
            continue;
        }
        reads.retain(|known| known.root != read.root || !known.path.starts_with(&read.path));
        if let (Root::Headers, Some(connector_plan::Step::Key(name))) =
            (read.root, read.path.first_mut())
        {
            name.make_ascii_lowercase();
        }
        reads.push(read);
    }
    Jinja {
        source: compiled.source.clone(),
        reads,
    }
}

fn is_constant(predicate: &Predicate) -> bool {
    let constant = |operand: &Operand| matches!(operand, Operand::Literal(_));
    match predicate {
        Predicate::All(all) | Predicate::Any(all) => all.iter().all(is_constant),
        Predicate::Not(one) => is_constant(one),
        Predicate::Truth(operand) | Predicate::Null(operand) => constant(operand),
        Predicate::Compare(left, _, right) => constant(left) && constant(right),
    }
}
