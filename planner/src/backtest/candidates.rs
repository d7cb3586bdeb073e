//! The models that take part in a backtest.
use foremesh_core::forecast::{self, model::Model};

/// Which models take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Every model of the default build, the dear ones refitted as often as the budget allows.
    Default,
    /// The same models, the dear ones refitted at every origin; may take hours.
    All,
    /// Models by name.
    Named(Vec<String>),
}

/// A model is asked for that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no model `{given}`; there are: {known}")]
pub struct UnknownModel {
    given: String,
    known: String,
}

impl std::str::FromStr for Chosen {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "default" => Self::Default,
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }
}

/// The chosen models, in the order in which they are known.
///
/// # Errors
/// When a name is not known.
pub fn candidates(chosen: &Chosen) -> Result<Vec<Box<dyn Model>>, UnknownModel> {
    let mut models = every();
    if let Chosen::Named(names) = chosen {
        for name in names {
            if !models.iter().any(|model| model.name() == name) {
                let known = models.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ");
                return Err(UnknownModel { given: name.clone(), known });
            }
        }
        models.retain(|model| names.iter().any(|name| name == model.name()));
    }
    Ok(models)
}

fn every() -> Vec<Box<dyn Model>> {
    let mut models = forecast::cheap_models();
    models.extend(foremesh_models::all());
    models
}
