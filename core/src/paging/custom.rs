//! Paging of a program's own.

use std::fmt;
use std::sync::Arc;

use super::Paginator;

/// A paginator of a program's own, in place of the spec's:
/// [`ClientOptions::paginators`](crate::ClientOptions::paginators) takes it.
///
/// It is made anew for each partition, from a function that gives a [`Paginator`] before its first
/// page. The runtime keeps the loop: it sends the requests, follows links to allowed origins only,
/// and ends a run whose cursor or page comes again.
///
/// ```
/// use connector_core::{CustomPaginator, Json, PageFacts, Paginator, Path, Result, Step, Target, Turn};
///
/// /// Each page names the day before it, until there is none.
/// #[derive(Debug, Default)]
/// struct Backwards;
///
/// impl Paginator for Backwards {
///     fn captures(&self) -> Vec<Path> {
///         vec![vec![Step::Key("previous_day".to_owned())]]
///     }
///
///     fn first(&mut self) -> Turn {
///         Turn::default()
///     }
///
///     fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
///         let Some(Some(Json::String(day))) = page.captures.first() else {
///             return Ok(None);
///         };
///         Ok(Some(Turn {
///             values: vec![(Target::Query("day".to_owned()), day.as_str().into())],
///             token: Some(day.clone()),
///             ..Turn::default()
///         }))
///     }
/// }
///
/// let mut options = connector_core::ClientOptions::default();
/// options
///     .paginators
///     .insert("events".to_owned(), CustomPaginator::new(Backwards::default));
/// ```
#[derive(Clone)]
pub struct CustomPaginator(Arc<dyn Fn() -> Box<dyn Paginator> + Send + Sync>);

impl CustomPaginator {
    /// A paginator that this function makes for every partition.
    pub fn new<P: Paginator + 'static>(make: impl Fn() -> P + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::new(make())))
    }

    pub(crate) fn start(&self) -> Box<dyn Paginator> {
        (self.0)()
    }
}

impl fmt::Debug for CustomPaginator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomPaginator(..)")
    }
}
