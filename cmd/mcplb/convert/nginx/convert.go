package nginx

import "mcplb/cmd/mcplb/convert/lb"

type Environment struct{}

func System() Environment { return Environment{} }

func Convert(config *lb.Config, env Environment, names ...string) error { return nil }
