package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"

	"github.com/spf13/cobra"
)

// The exit statuses of tls-check, beside 0.
const (
	exitDoubtful = 1 // there are warnings
	exitUnusable = 2 // a file cannot be used
)

// tlsCheckCommand is the command "tls-check".
func (o *operator) tlsCheckCommand() *cobra.Command {
	var key, authority string
	c := &cobra.Command{
		Use: "tls-check [flags] FILE...", Short: "Check certificates, or all that a configuration names", Args: cli.Args(1, -1),
		Long: `Check files of certificates and revocation lists in PEM form, or everything about
TLS in a configuration (FILE.toml, or a directory of them): what peers refuse, now or
soon, what is weak or missing, and what is of no use. No balancer has to run, and
nothing is changed.

Exit status: 0 if there is nothing to say, 1 if there are warnings, 2 if a file
cannot be used.`,
		Example: "  mcplb tls-check lb.toml\n  mcplb tls-check -key lb.key lb.pem\n  mcplb tls-check -ca private-ca.pem lb.pem",
		RunE: func(_ *cobra.Command, args []string) error {
			status := 0
			for _, path := range args {
				status = max(status, o.checkTLS(conf.CertificateFiles{Path: path, Key: key, Authority: authority}))
			}
			if status > 0 {
				return cli.Status(status)
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the `FILE` of the certificate's key, which must belong to it")
	c.Flags().StringVar(&authority, "ca", "", "a `FILE` of private authorities that peers know, beside the system's roots")
	return c
}

// checkTLS prints what is wrong with one file, and returns an exit status.
func (o *operator) checkTLS(files conf.CertificateFiles) (status int) {
	path, now := files.Path, time.Now()
	var summary string
	var found []string
	var err error
	if filepath.Ext(path) == ".toml" || isDirectory(path) {
		var config *conf.Config
		if config, err = conf.Load(path); err == nil {
			summary, found = "TLS", config.TLSWarnings(now)
		}
	} else {
		summary, found, err = files.Check(now)
	}
	var mistakes conf.Errors
	switch {
	case errors.As(err, &mistakes):
		fmt.Fprintln(o.stderr, mistakes.Error())
		return exitUnusable
	case err != nil:
		fmt.Fprintf(o.stderr, "%s: %s\n", path, strings.TrimPrefix(err.Error(), fmt.Sprintf("%q ", path)))
		return exitUnusable
	case len(found) == 0:
		fmt.Fprintf(o.stdout, "%s: %s: nothing to say\n", path, summary)
		return 0
	}
	slices.Sort(found)
	for _, warning := range slices.Compact(found) {
		fmt.Fprintf(o.stdout, "%s: warning: %s\n", path, strings.TrimPrefix(warning, fmt.Sprintf("%q: ", path)))
	}
	return exitDoubtful
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
