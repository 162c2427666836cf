# Sourced by the scripts beside it. VERSION is that of the git tag on this commit (v1.2.3), or else the source's with the
# commit behind it, such as 0.1.0-dev+0123456789ab. SOURCE_DATE_EPOCH is the commit's time.
if [ -z "${VERSION:-}" ]; then
  if tag=$(git describe --exact-match --tags --match 'v[0-9]*' 2> /dev/null); then
    VERSION=${tag#v}
  else
    VERSION=$(cat cmd/internal/build/VERSION)+$(git rev-parse --short=12 HEAD)
    git diff --quiet HEAD || VERSION=$VERSION.dirty
  fi
fi
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export VERSION SOURCE_DATE_EPOCH
