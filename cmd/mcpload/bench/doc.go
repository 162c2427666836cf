// Package bench is five benchmarks of a complete cluster: four nodes and a balancer,
// which it starts for each of them. The results are a table and plots.
package bench
