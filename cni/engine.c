/*
 * The engine proper: Python, isolated from the node, over the files around it. It is started by cni/starter.c, whose
 * path is its argv[0] and becomes sys.executable.
 */
#include <Python.h>
#include <sys/prctl.h>

static void demand(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int count, char **arguments)
{
    static char folder[4096], file[sizeof folder + 64];
    char *name = count ? strrchr(arguments[0], '/') : 0;
    if (!name || name - arguments[0] >= (long)sizeof folder)
        return 127;
    memcpy(folder, arguments[0], (size_t)(name - arguments[0]));
    prctl(PR_SET_NAME, name + 1); /* else it would be the loader's */

    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before); /* no variable of the environment, and no locale, whose files are the node's */
    before.utf8_mode = 1;
    demand(Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1; /* or a reader that has gone would kill it by SIGPIPE, with a half-made pod */
    config.optimization_level = 2, config.site_import = 0, config.write_bytecode = 0, config.parse_argv = 0;
    config.module_search_paths_set = 1;
    demand(PyConfig_SetBytesString(&config, &config.executable, arguments[0]));
    demand(PyConfig_SetBytesString(&config, &config.program_name, arguments[0]));
    demand(PyConfig_SetBytesString(&config, &config.home, folder));
    demand(PyWideStringList_Append(&config.module_search_paths, config.home));
    snprintf(file, sizeof file, "%s/slash80/__main__.pyc", folder);
    demand(PyConfig_SetBytesString(&config, &config.run_filename, file));
    demand(PyConfig_SetBytesArgv(&config, count, arguments));
    demand(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    return Py_RunMain();
}
