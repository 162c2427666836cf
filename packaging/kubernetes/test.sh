#!/usr/bin/env bash
# Checks the manifests as an API server does: packaging/kubernetes/test.sh
#
# Each kustomization is rendered, and each object validated against the schemas of Kubernetes that kubectl-validate has
# (fields and types, not the words that a field may have) and the prometheus-operator's definition of ServiceMonitor. Then each of a list of mistakes is
# made in what was rendered, and must be found. Needs Go and, for its modules, the network.
set -euo pipefail
cd "$(dirname "$0")"
kubernetes=${KUBERNETES:-1.30} # the oldest version that the manifests are for: preStop's sleep
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOFLAGS=-mod=readonly GOWORK=off GOBIN=$work/bin

# Not "go run": it would link them each time.
go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
go install sigs.k8s.io/kubectl-validate@v0.0.4
operator=$(cd "$work" && go mod download -json github.com/prometheus-operator/prometheus-operator@v0.85.0 | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
mkdir "$work/definitions"
cp "$operator"/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml "$work/definitions"
valid() { "$GOBIN/kubectl-validate" --version "$kubernetes" --local-crds "$work/definitions" "$1"; }

for kustomization in base overlays/monitored; do
  "$GOBIN/kustomize" build "$kustomization" > "$work/rendered.yaml"
  echo "== $kustomization, Kubernetes $kubernetes: $(grep -c '^kind:' "$work/rendered.yaml") objects"
  valid "$work/rendered.yaml"
done
for kind in Deployment Service ConfigMap Role RoleBinding ServiceAccount PodDisruptionBudget ServiceMonitor; do
  grep -qx "kind: $kind" "$work/rendered.yaml" || { echo "FAILED: there is no $kind" >&2; exit 1; }
done

# mistake NAME SED REASON: what sed makes of the manifests is refused, for that reason.
mistake() {
  sed "$2" "$work/rendered.yaml" > "$work/wrong.yaml"
  if cmp -s "$work/rendered.yaml" "$work/wrong.yaml"; then echo "FAILED: there is nothing in the manifests to make the mistake in: $1" >&2; exit 1; fi
  if valid "$work/wrong.yaml" > "$work/found" 2>&1 || ! grep -q "$3" "$work/found"; then echo "FAILED: not found: $1" >&2; cat "$work/found"; exit 1; fi
  echo "found: $1"
}
echo "== mistakes"
mistake "a field that does not exist" 's/readOnlyRootFilesystem:/readOnlyRootFileSystem:/' 'readOnlyRootFileSystem: .*unknown field'
mistake "a field in the wrong place" 's/^      serviceAccountName: mcplb$/&\n      replicas: 2/' 'template.spec.replicas: .*unknown field'
mistake "text for a number" 's/terminationGracePeriodSeconds: 330/terminationGracePeriodSeconds: five minutes/' 'must be of type integer'
mistake "a probe's sleep without seconds" 's/^\( *\)seconds: 15$/\1minutes: 15/' 'sleep.minutes: .*unknown field'
mistake "a field of ServiceMonitor that does not exist" 's/interval: 15s/every: 15s/' 'every: .*unknown field'
mistake "a ServiceMonitor's interval without a unit" 's/interval: 15s/interval: "15"/' 'interval in body should match'
mistake "a version of the API that is gone" 's,^apiVersion: policy/v1$,apiVersion: policy/v1beta1,' 'policy/v1beta1'
echo passed
