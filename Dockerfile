# The app in Microsoft's Functions image, for those who run it in containers. Flex Consumption needs no image.
FROM mcr.microsoft.com/azure-functions/python:4-python3.13
ENV AzureWebJobsScriptRoot=/home/site/wwwroot \
    AzureFunctionsJobHost__Logging__Console__IsEnabled=true
COPY requirements.txt /
RUN pip install --no-cache-dir --requirement /requirements.txt
COPY function_app.py host.json /home/site/wwwroot/
COPY ingest /home/site/wwwroot/ingest
COPY answers /home/site/wwwroot/answers
COPY checks /home/site/wwwroot/checks
COPY scanning /home/site/wwwroot/scanning
COPY subscriptions /home/site/wwwroot/subscriptions
