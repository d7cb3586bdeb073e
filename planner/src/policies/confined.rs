//! What is written in a namespace is about that namespace: patterns of services and workloads that can match nothing else.
use foremesh_core::document::SpecProblem;

/// A namespace that people write in, which is not the planner's own.
#[derive(Clone, Copy, Debug)]
pub struct Confined<'a> {
    /// Its name.
    pub namespace: &'a str,
    /// Domain of the cluster, such as `cluster.local`.
    pub domain: &'a str,
}

impl Confined<'_> {
    /// A pattern of services, written as their names or as their host names, as one that matches services of the namespace
    /// only.
    ///
    /// # Errors
    /// When it names services elsewhere.
    pub fn service(&self, path: &str, pattern: &str) -> Result<String, SpecProblem> {
        let Self { namespace, domain } = self;
        // Names of services have no points.
        if !pattern.contains('.') {
            return Ok(format!("{pattern}.{namespace}.svc.{domain}"));
        }
        let ends =
            [format!(".{namespace}"), format!(".{namespace}.svc"), format!(".{namespace}.svc.{domain}")];
        let name = ends.iter().find_map(|end| pattern.strip_suffix(end.as_str()));
        match name.filter(|name| !name.contains('.')) {
            Some(name) => Ok(format!("{name}.{namespace}.svc.{domain}")),
            None => Err(self.elsewhere(path, pattern, "services", "cart*")),
        }
    }

    /// The same for workloads, written as their names or with the namespace before them.
    ///
    /// # Errors
    /// When it names workloads elsewhere.
    pub fn workload(&self, path: &str, pattern: &str) -> Result<String, SpecProblem> {
        match pattern.split_once('/') {
            None => Ok(format!("{}/{pattern}", self.namespace)),
            Some((namespace, _)) if namespace == self.namespace => Ok(pattern.to_owned()),
            Some(_) => Err(self.elsewhere(path, pattern, "workloads", "cart*")),
        }
    }

    fn elsewhere(&self, path: &str, pattern: &str, what: &str, example: &str) -> SpecProblem {
        SpecProblem {
            path: path.to_owned(),
            value: format!("`{pattern}`"),
            limit: format!(
                "what is written in namespace `{}` is about {what} of that namespace",
                self.namespace
            ),
            remedy: format!(
                "write their names alone, such as `{example}`, or write it in the planner's namespace"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: Confined<'_> = Confined { namespace: "shop", domain: "cluster.local" };

    #[test]
    fn patterns_match_nothing_in_other_namespaces() {
        for (pattern, want) in [
            ("cart*", Some("cart*.shop.svc.cluster.local")),
            ("*", Some("*.shop.svc.cluster.local")),
            ("cart.shop", Some("cart.shop.svc.cluster.local")),
            ("cart.shop.svc", Some("cart.shop.svc.cluster.local")),
            ("*.shop.svc.cluster.local", Some("*.shop.svc.cluster.local")),
            ("cart.bank", None),
            ("*.svc.cluster.local", None),
            ("*shop.svc.cluster.local", None),
            ("cart.*", None),
            ("*.*", None),
            ("cart.bank.shop", None),
            ("*.workshop.svc.cluster.local", None),
        ] {
            assert_eq!(SHOP.service("spec", pattern).ok().as_deref(), want, "{pattern}");
        }
        for (pattern, want) in
            [("cart", Some("shop/cart")), ("shop/*", Some("shop/*")), ("*/cart", None), ("bank/cart", None)]
        {
            assert_eq!(SHOP.workload("spec", pattern).ok().as_deref(), want, "{pattern}");
        }
    }

    #[test]
    fn what_is_elsewhere_is_said_with_what_to_write() {
        assert_eq!(
            SHOP.service("spec.selector.services[0]", "pay.bank").unwrap_err().to_string(),
            "spec.selector.services[0] is `pay.bank`, but what is written in namespace `shop` is about services of that \
             namespace; write their names alone, such as `cart*`, or write it in the planner's namespace"
        );
    }
}
