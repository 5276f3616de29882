"""The rules of tasks and workspaces: pure, standard library only."""
