# Sourced by the scripts beside it. VERSION is that of the git tag on this commit (v1.2.3), or else the source's with the
# commit behind it, such as 0.1.0-dev+0123456789ab. SOURCE_DATE_EPOCH is the commit's time.
if [ -z "${VERSION:-}" ]; then
  if tag=$(git describe --exact-match --tags --match 'v[0-9]*' 2> /dev/null); then
    VERSION=${tag#v}
  else
    VERSION=$(cat cmd/internal/build/VERSION)+$(git rev-parse --short=12 HEAD)
  fi
  # A file that git does not know is built, too.
  changes=$(git status --porcelain)
  [ -z "$changes" ] || VERSION=$VERSION.dirty
fi
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export VERSION SOURCE_DATE_EPOCH

# What of the caller's would get into the result: the modes of files, and how Go builds. What Go is told on the command
# line holds anyhow; the architecture (GOARCH) is the caller's choice.
umask 022
export GOFLAGS=-mod=readonly GOWORK=off GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0 GOFIPS140=off CGO_ENABLED=0 GOOS=linux
