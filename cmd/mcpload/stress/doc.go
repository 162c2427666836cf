// Package stress is a suite of tests that a complete cluster must pass: formation,
// scaling, performance and reliability. Each test has a new cluster.
package stress
