// Package comparison measures mcplb beside HAProxy and nginx: the same work, one
// thread each, one after the other, in front of the same two origins.
package comparison
