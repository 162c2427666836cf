// Package nginx reads configurations of nginx.
package nginx
