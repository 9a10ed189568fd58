"""The checks of all that the app needs: run by an operator's `doctor`, and each day by the app itself."""
