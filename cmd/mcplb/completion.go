package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// completionCommand is a function because what it writes names all commands,
// itself among them.
func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish", short: "write a completion script for a shell", local: true, run: writeCompletion,
		long: "bash: mcplb completion bash > /etc/bash_completion.d/mcplb\nzsh:  mcplb completion zsh > \"${fpath[1]}/_mcplb\"\nfish: mcplb completion fish > ~/.config/fish/completions/mcplb.fish",
	}
}

// completionWords are the words that may follow: flags of a command, and
// servers where the command wants one.
const completionWords = "__words"

// writeCompletion writes a script that completes commands by their names, and
// what follows by asking mcplb itself, so that it names the servers there are.
func writeCompletion(o *operator, args []string) error {
	if err := need(args, 1, 1); err != nil {
		return err
	}
	script, known := completions[args[0]]
	if !known {
		return fmt.Errorf("%w: there is completion for bash, zsh and fish, not for %q", errMisused, args[0])
	}
	var names, described []string
	for _, c := range commands() {
		names = append(names, c.name)
		described = append(described, c.name+":"+strings.ReplaceAll(c.short, "'", ""))
	}
	_, err := fmt.Fprint(o.stdout, strings.NewReplacer("@NAMES@", strings.Join(names, " "), "@DESCRIBED@", "'"+strings.Join(described, "' '")+"'").Replace(script))
	return err
}

var completions = map[string]string{
	"bash": `# bash completion for mcplb
_mcplb() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
  if [ "${COMP_WORDS[COMP_CWORD-1]}" = -c ] || [ "${COMP_WORDS[COMP_CWORD-1]}" = -token-file ]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "@NAMES@ -c -t -version" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$(mcplb __words "$command" 2>/dev/null)" -- "$word"))
  fi
}
complete -o default -F _mcplb mcplb
`,
	"zsh": `#compdef mcplb
_mcplb() {
  local -a commands words
  commands=(@DESCRIBED@)
  if (( CURRENT == 2 )); then
    _describe command commands
  elif [[ ${words[CURRENT-1]} == (-c|-token-file) ]]; then
    _files
  else
    local -a choices
    choices=(${(f)"$(mcplb __words ${words[2]} 2>/dev/null)"})
    compadd -a choices
  fi
}
_mcplb "$@"
`,
	"fish": `# fish completion for mcplb
complete -c mcplb -f
for command in @NAMES@
  complete -c mcplb -n __fish_use_subcommand -a $command
end
complete -c mcplb -n 'not __fish_use_subcommand' -a '(mcplb __words (commandline -opc)[2] 2>/dev/null)'
complete -c mcplb -o c -r -F
complete -c mcplb -o token-file -r -F
`,
}

// words writes what may follow a command, a word a line.
func words(args []string, stdout io.Writer) int {
	if len(args) != 1 {
		return exitMisused
	}
	c := commandOf(args[0])
	if c == nil {
		return exitMisused
	}
	o := &operator{stdout: stdout, stderr: io.Discard}
	flags := o.flagSet(c)
	flags.VisitAll(func(f *flag.Flag) { fmt.Fprintln(stdout, "-"+f.Name) })
	if c.name == "completion" {
		fmt.Fprintln(stdout, "bash\nzsh\nfish")
	}
	if !strings.Contains(c.args, "BACKEND") || flags.Parse(nil) != nil {
		return exitDone
	}
	if api, err := o.connect(); err == nil {
		wordsOfServers(api, stdout, c.args)
	}
	return exitDone
}

// wordsOfServers writes the names of servers, or of backends.
func wordsOfServers(api *apiClient, stdout io.Writer, args string) {
	status, err := api.status()
	if err != nil {
		return
	}
	for _, b := range status.Backends {
		if !strings.Contains(args, "SERVER") {
			fmt.Fprintln(stdout, b.Name)
			continue
		}
		for _, s := range b.Servers {
			fmt.Fprintln(stdout, b.Name+"/"+s.Name)
		}
	}
}
