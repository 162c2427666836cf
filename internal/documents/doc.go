// Package documents reads the Markdown documents of this repository, so that its tests
// can try what they say: links, commands with their output, configurations.
//
//	document, err := documents.Read("README.md")
//	for _, link := range document.Links() { ... }
//	for _, block := range document.Blocks { ... }
//
// A block of commands has a comment on the line before it, which says how it is tried:
//
//	<!-- run -->                     its commands are run, and their output is compared
//	<!-- run with a cluster -->      the same, beside the cluster of make run
//	<!-- repeat with a cluster -->   each command is repeated until its output is right
//	<!-- not run: REASON -->         it cannot be tried, for this reason
//
// A block in TOML is a configuration that mcplb -t accepts, once what it leaves out is added:
// a frontend, a backend, servers. <!-- not a configuration --> excludes one.
//
// In a block of commands, "$ " begins a command, and "> " continues it. The lines after a
// command are its output: "..." stands for any text within a line, a line "..." for any
// lines, and runs of blanks are equal. A command that shows nothing must succeed; of others
// the exit status is shown by: echo "exit status $?". The commands of a document share a
// shell and a directory, in which bin/ has the programs and lb.toml is the cluster's file.
package documents
