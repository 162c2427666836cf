package build

import "runtime/debug"

// Version is the commit that the program was built from, shortened, or the
// module's version where the build has recorded no commit. It is never empty.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value[:min(len(setting.Value), 12)]
		}
	}
	if info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
