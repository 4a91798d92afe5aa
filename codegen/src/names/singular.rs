//! The singular of English nouns, as far as names of resources need it.

/// Words that are their own singular, or have none.
const UNCHANGED: &[&str] = &[
    "access",
    "alias",
    "always",
    "analytics",
    "atlas",
    "aws",
    "basis",
    "bias",
    "bonus",
    "bus",
    "business",
    "campus",
    "canvas",
    "census",
    "chaos",
    "corps",
    "cosmos",
    "css",
    "dns",
    "economics",
    "equipment",
    "ethos",
    "feedback",
    "gas",
    "gps",
    "headquarters",
    "hardware",
    "https",
    "info",
    "information",
    "ios",
    "iris",
    "js",
    "kudos",
    "lens",
    "logistics",
    "mathematics",
    "means",
    "media",
    "metadata",
    "news",
    "os",
    "physics",
    "pos",
    "premises",
    "progress",
    "rss",
    "saas",
    "series",
    "sms",
    "sos",
    "species",
    "status",
    "tennis",
    "this",
    "tls",
    "virus",
    "yes",
];

/// Plurals that no rule below gets right.
const IRREGULAR: &[(&str, &str)] = &[
    ("addresses", "address"),
    ("aliases", "alias"),
    ("analyses", "analysis"),
    ("apis", "api"),
    ("appendices", "appendix"),
    ("atlases", "atlas"),
    ("axes", "axis"),
    ("biases", "bias"),
    ("calves", "calf"),
    ("canvases", "canvas"),
    ("children", "child"),
    ("cookies", "cookie"),
    ("cpus", "cpu"),
    ("crises", "crisis"),
    ("criteria", "criterion"),
    ("diagnoses", "diagnosis"),
    ("echoes", "echo"),
    ("feet", "foot"),
    ("gases", "gas"),
    ("geese", "goose"),
    ("gpus", "gpu"),
    ("gurus", "guru"),
    ("halves", "half"),
    ("heroes", "hero"),
    ("hypotheses", "hypothesis"),
    ("indexes", "index"),
    ("indices", "index"),
    ("knives", "knife"),
    ("kpis", "kpi"),
    ("leaves", "leaf"),
    ("lenses", "lens"),
    ("lies", "lie"),
    ("lives", "life"),
    ("matrices", "matrix"),
    ("men", "man"),
    ("menus", "menu"),
    ("mice", "mouse"),
    ("movies", "movie"),
    ("oxen", "ox"),
    ("parentheses", "parenthesis"),
    ("people", "person"),
    ("phenomena", "phenomenon"),
    ("pies", "pie"),
    ("potatoes", "potato"),
    ("quizzes", "quiz"),
    ("rookies", "rookie"),
    ("shelves", "shelf"),
    ("skus", "sku"),
    ("syntheses", "synthesis"),
    ("taxis", "taxi"),
    ("teeth", "tooth"),
    ("theses", "thesis"),
    ("thieves", "thief"),
    ("ties", "tie"),
    ("tomatoes", "tomato"),
    ("vertices", "vertex"),
    ("vetoes", "veto"),
    ("wives", "wife"),
    ("women", "woman"),
    ("zombies", "zombie"),
];

/// Endings and what becomes of them; the first that fits decides.
const ENDINGS: &[(&str, &str)] = &[
    ("ss", "ss"),
    ("is", "is"),
    // `house`, `cause`, `use`, `excuse`, but `status` and `bonus`.
    ("ouses", "ouse"),
    ("auses", "ause"),
    ("cuses", "cuse"),
    ("fuses", "fuse"),
    ("uses", "us"),
    ("us", "us"),
    ("sses", "ss"),
    ("shes", "sh"),
    // `cache` and `niche`, but `branch`.
    ("aches", "ache"),
    ("iches", "iche"),
    ("ches", "ch"),
    ("xes", "x"),
    ("zzes", "zz"),
    ("ies", "y"),
    ("s", ""),
];

/// A name in snake case with its last word in the singular.
pub(crate) fn singular(name: &str) -> String {
    let (before, word) = name
        .rfind('_')
        .map_or(("", name), |at| name.split_at(at + 1));
    format!("{before}{}", word_singular(word))
}

fn word_singular(word: &str) -> String {
    if word == "uses" {
        return "use".to_owned();
    }
    if UNCHANGED.contains(&word) {
        return word.to_owned();
    }
    if let Some((_, singular)) = IRREGULAR.iter().find(|(plural, _)| *plural == word) {
        return (*singular).to_owned();
    }
    ENDINGS
        .iter()
        .find_map(|(ending, replacement)| {
            let stem = word.strip_suffix(ending).filter(|stem| !stem.is_empty())?;
            let singular = format!("{stem}{replacement}");
            // `is` and `as` are no plurals.
            (singular.len() > 1).then_some(singular)
        })
        .unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_becomes_singular() {
        #[track_caller]
        fn check(plurals: &str, singulars: &str) {
            let found: Vec<String> = plurals.split(' ').map(singular).collect();
            assert_eq!(found.join(" "), singulars);
        }
        check(
            "files cloud_storage_files sales_orders",
            "file cloud_storage_file sales_order",
        );
        check(
            "entries companies categories days keys",
            "entry company category day key",
        );
        check(
            "addresses classes processes boxes taxes",
            "address class process box tax",
        );
        check(
            "statuses bonuses status campus",
            "status bonus status campus",
        );
        check(
            "houses warehouses causes clauses uses",
            "house warehouse cause clause use",
        );
        check("branches matches caches dishes", "branch match cache dish");
        check(
            "cases responses databases sizes licenses",
            "case response database size license",
        );
        check(
            "people children indices analyses criteria",
            "person child index analysis criterion",
        );
        check(
            "data series news metadata analytics media sms",
            "data series news metadata analytics media sms",
        );
        check(
            "movies cookies leaves heroes quizzes",
            "movie cookie leaf hero quiz",
        );
        check(
            "apis kpis aliases canvases schemas areas",
            "api kpi alias canvas schema area",
        );
        check(
            "access address business analysis",
            "access address business analysis",
        );
        check("s is ss skus", "s is ss sku");
        check("file entry person", "file entry person");
        assert_eq!(singular(""), "");
    }
}
