//! Arguments of `foremesh crds`.

/// What follows the options.
pub(super) const HELP: &str = "\
The schemas are those of the files that the planner reads: the same document may be a file or a resource. The API server
refuses what it can check itself, and says what to write instead; the planner says the rest in the status. Nothing is
changed by this command; deleting a definition deletes all objects of its kind.

Examples:
  foremesh crds | kubectl apply -f -
  foremesh crds | kubectl diff -f -                       # what an upgrade would change
  kubectl explain relocationpolicy.spec.rules             # every field, with units, defaults and examples
  kubectl get foremesh -A                                 # all objects of all kinds; also: relpol, evcal";
